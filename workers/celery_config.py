"""Celery's configuration, made from the settings."""

from typing import Any
from urllib.parse import quote

from kombu import Queue

from turnstile.turns.celery_message import QUEUES, TASK, WEBHOOK_QUEUE, WEBHOOK_TASK
from turnstile.turns.redis.address import Address, bracketed, parse
from turnstile.turns.redis.connection import SOCKET_OPTIONS, sentinel_options, server_url
from turnstile.turns.redis.keys import Keys
from turnstile.turns.settings import Settings
from turnstile.workers.celery_patches.broker import TRANSPORT_OPTIONS


def broker(address: Address) -> tuple[str, dict[str, Any]]:
    """Return the address in Celery's form, and its transport options."""
    options: dict[str, Any] = {**SOCKET_OPTIONS, **TRANSPORT_OPTIONS}
    login = f"{quote(address.username or '', safe='')}:{quote(address.password or '', safe='')}@"
    login = "" if login == ":@" else login
    if not address.hosts:
        return f"redis+socket://{login}{quote(address.path)}?virtual_host={address.db}", options
    scheme = "sentinel" if address.master else "rediss" if address.tls else "redis"
    urls = [f"{scheme}://{login}{bracketed(host)}:{port}/{address.db}" for host, port in address.hosts]
    if address.master:
        options |= {"master_name": address.master, "sentinel_kwargs": sentinel_options(address)}
    return ";".join(urls), options


def configuration(chosen: Settings) -> dict[str, Any]:
    """Return Celery's configuration for these settings."""
    address = parse(server_url(chosen))
    url, transport = broker(address)
    queues = {"global_keyprefix": prefix} if (prefix := Keys(chosen.key_prefix).queue()) else {}
    return {
        "broker_url": url,
        "broker_use_ssl": address.security(),
        # The sweep repeats a lost dispatch, so Celery need not track deliveries.
        "broker_transport_options": {
            **transport,
            **queues,
            "ack_emulation": False,
            "queue_order_strategy": "turnstile.workers.celery_patches.queue_order:ChatFirst",
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Redis refuses every write during a failover: wait, do not exit.
        "broker_channel_error_retry": True,
        "result_backend": url,
        "redis_backend_use_ssl": address.security(),
        "result_backend_transport_options": transport,
        "result_expires": round(chosen.result_ttl),
        "redis_socket_timeout": SOCKET_OPTIONS["socket_timeout"],
        "redis_socket_connect_timeout": SOCKET_OPTIONS["socket_connect_timeout"],
        "redis_socket_keepalive": bool(address.hosts),
        "redis_backend_health_check_interval": SOCKET_OPTIONS["health_check_interval"],
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "task_acks_late": False,
        "task_queues": [Queue(name, routing_key=name) for name in (*QUEUES, WEBHOOK_QUEUE)],
        "task_default_queue": chosen.intake_queue,
        "task_routes": {TASK: {"queue": chosen.intake_queue}, WEBHOOK_TASK: {"queue": WEBHOOK_QUEUE}},
        "worker_pool": "threads",
        "worker_consumer": "turnstile.workers.celery_patches.consumer:Consumer",
        "worker_concurrency": chosen.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_send_task_events": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_max_tasks_per_child": None,
        "timezone": "UTC",
    }
