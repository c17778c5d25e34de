"""Every key in Redis, built here and nowhere else.

A script that meets a session or a turn whose name its caller cannot know (the next one in a mailbox, an overdue one) gets
the prefix as a key and appends the name; so all patterns still stand on this page.
"""

from dataclasses import dataclass

_USUAL = "turnstile:"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one deployment: `prefix` before the queue's, `history_prefix` before the histories."""

    prefix: str = _USUAL
    history_prefix: str = "message_store:"

    def history(self, session: str = "") -> str:
        """LIST, newest message first, in langchain_community's layout."""
        return f"{self.history_prefix}{session}"

    def conversation(self, session: str = "") -> str:
        """HASH: when a session was begun, its metadata, the turn that it branched off for, its tokens and cost, the size of
        its largest message, if that is large, and the summary of its beginning. As long as the history.
        """
        return f"{self.prefix}conversation:{session}"

    def session(self, session: str = "") -> str:
        """HASH: the turn at the head, its phase, owner, lease and open calls; gone when the session is idle."""
        return f"{self.prefix}session:{session}"

    def mailbox(self, session: str = "") -> str:
        """LIST: ids of the waiting turns, oldest first."""
        return f"{self.prefix}mailbox:{session}"

    def turns(self, session: str = "") -> str:
        """ZSET turn → ms of its acceptance, then of its end: the session's turns that can still be looked up."""
        return f"{self.prefix}turns:{session}"

    def turn(self, turn: str = "") -> str:
        """HASH: one turn's question, options, state and outcome."""
        return f"{self.prefix}turn:{turn}"

    def answered(self, session: str = "") -> str:
        """STRING: the fingerprint and the id of the turn that answered a session's open calls last."""
        return f"{self.prefix}answered:{session}"

    def events(self, turn: str = "") -> str:
        """STREAM: what happened to one turn; entry ids are `<sequence>-0`, from 1."""
        return f"{self.prefix}events:{turn}"

    def steps(self, thread: str = "") -> str:
        """HASH: the kept steps of a graph: checkpoints, the values they refer to, and what tasks wrote after them."""
        return f"{self.prefix}steps:{thread}"

    def webhook(self, turn: str = "") -> str:
        """HASH: a turn's end that a webhook is still to be told of."""
        return f"{self.prefix}webhook:{turn}"

    def webhook_line(self, key: str = "") -> str:
        """ZSET turn → ms since when: webhooks of an API key that wait for a worker with a place for them."""
        return f"{self.prefix}webhook_line:{key}"

    def webhooks_of(self, key: str = "") -> str:
        """ZSET turn → ms since when: all webhooks of an API key that are neither delivered nor given up."""
        return f"{self.prefix}webhooks_of:{key}"

    def rate(self, key: str = "") -> str:
        """STRING, ms: until when an API key's requests are spent."""
        return f"{self.prefix}rate:{key}"

    def file(self, file: str = "") -> str:
        """HASH: the tenant of an uploaded file, or of a batch's results, its name, size and purpose."""
        return f"{self.prefix}file:{file}"

    def files(self, tenant: str = "") -> str:
        """ZSET file → ms when it was created."""
        return f"{self.prefix}files:{tenant}"

    def pieces(self, file: str = "") -> str:
        """LIST: the bytes of an uploaded file, in order."""
        return f"{self.prefix}pieces:{file}"

    def batch(self, batch: str = "") -> str:
        """HASH: a batch of requests: its file, state and counts, its owner, and the place before which all have a result."""
        return f"{self.prefix}batch:{batch}"

    def batches(self, tenant: str = "") -> str:
        """ZSET batch → ms when it was created."""
        return f"{self.prefix}batches:{tenant}"

    def unfinished(self, tenant: str = "") -> str:
        """ZSET batch → ms when it was created: a tenant's batches that have not ended."""
        return f"{self.prefix}unfinished:{tenant}"

    def results(self, file: str = "") -> str:
        """HASH line → the result of its request, in a file of a batch's results; `bytes` → what they take together."""
        return f"{self.prefix}results:{file}"

    def stored(self, tenant: str = "") -> str:
        """HASH file or batch → the bytes that it takes; an empty field → their sum."""
        return f"{self.prefix}stored:{tenant}"

    def probe(self, name: str = "") -> str:
        """Nothing: a name to try commands on."""
        return f"{self.prefix}probe:{name}"

    def once(self, name: str = "") -> str:
        """STRING: what was first given under a name, so that a repeat is told from something new."""
        return f"{self.prefix}once:{name}"

    def owned(self, worker: str = "") -> str:
        """SET: the sessions that one worker holds a lease on."""
        return f"{self.prefix}owned:{worker}"

    def orders(self, worker: str = "") -> str:
        """Channel: ids of turns that one worker must drop at once; `interrupt` before one whose words so far are kept."""
        return f"{self.prefix}orders:{worker}"

    def wake(self, turn: str = "") -> str:
        """Channel: something happened to one turn."""
        return f"{self.prefix}wake:{turn}"

    def erased(self, number: str = "") -> str:
        """ZSET turn → ms: the turns of a session that was erased, as long as their records are still to be removed."""
        return f"{self.prefix}erased:{number}"

    @property
    def erasures(self) -> str:
        """ZSET number → ms: the lists of erased turns."""
        return f"{self.prefix}erasures"

    @property
    def due(self) -> str:
        """ZSET session → ms: when to look at it again; every session that is not idle has one entry."""
        return f"{self.prefix}due"

    def ready(self, line: str = "") -> str:
        """ZSET session → place: a tenant's sessions that may run and wait, in a line for each queue (`chat:acme`) or model."""
        return f"{self.prefix}ready:{line}"

    def rotation(self, queue: str = "") -> str:
        """ZSET tenant → time: the tenants with a line at a queue (or model); the one that has used the least time is next."""
        return f"{self.prefix}rotation:{queue}"

    def parked(self, queue: str = "") -> str:
        """ZSET tenant → time: those with a line at a queue whose slots are all taken; passed over until one is free."""
        return f"{self.prefix}parked:{queue}"

    def outage(self, kind: str = "") -> str:
        """ZSET turn → ms when its pause ends: turns of a kind (`chain model`, as asked) whose model was away."""
        return f"{self.prefix}outage:{kind}"

    def slots(self, tenant: str = "") -> str:
        """SET: sessions of one tenant whose head is dispatched or runs."""
        return f"{self.prefix}slots:{tenant}"

    @property
    def batch_slots(self) -> str:
        """SET: sessions whose head is dispatched or runs, and came by the queue `batch`."""
        return f"{self.prefix}batch_slots"

    def open_turns(self, tenant: str = "") -> str:
        """ZSET turn → ms of its acceptance: one tenant's turns that have not ended."""
        return f"{self.prefix}open_turns:{tenant}"

    def open_bytes(self, tenant: str = "") -> str:
        """HASH turn → bytes that it asks: one tenant's turns over 1 KiB that have not ended; an empty field → their sum."""
        return f"{self.prefix}open_bytes:{tenant}"

    def tenant(self, tenant: str = "") -> str:
        """HASH: what one tenant has spent today and in this minute, and the limits that hold after a turn is accepted."""
        return f"{self.prefix}tenant:{tenant}"

    def counted(self, token: str = "") -> str:
        """STRING: set for a while when the tokens of an attempt that did not end its turn have been counted."""
        return f"{self.prefix}counted:{token}"

    def streams(self, tenant: str = "") -> str:
        """ZSET stream → ms when it was heard of last: the open streams of a tenant, where their number is limited."""
        return f"{self.prefix}streams:{tenant}"

    def conversations(self, tenant: str = "") -> str:
        """ZSET session → ms: a tenant's conversations, where their number is limited; some may be gone."""
        return f"{self.prefix}conversations:{tenant}"

    @property
    def tenants(self) -> str:
        """ZSET tenant → ms when one of its turns was dispatched last."""
        return f"{self.prefix}tenants"

    def budget(self, model: str = "") -> str:
        """HASH: the budget of a model for all workers: its limits, until when they are spent, and until when it is paused."""
        return f"{self.prefix}budget:{model}"

    def calls(self, model: str = "") -> str:
        """ZSET call → ms when it began: the calls of a model that are under way, where it has a budget."""
        return f"{self.prefix}calls:{model}"

    def promised(self, model: str = "") -> str:
        """ZSET turn → ms: the turns that were dispatched for a slot in a model's budget, and when that is."""
        return f"{self.prefix}promised:{model}"

    def coming(self, model: str = "") -> str:
        """ZSET turn → ms of the dispatch: the turns on their way to a call of a model, which have no slot in its budget yet."""
        return f"{self.prefix}coming:{model}"

    def first_call(self, kind: str = "") -> str:
        """STRING: the budget, with its limits, from which turns of a kind (`chain model`, as asked) take their first call."""
        return f"{self.prefix}first_call:{kind}"

    @property
    def budgets(self) -> str:
        """ZSET model → ms when it was looked at last, or below 0 its turn: models that have a budget now, or are paused."""
        return f"{self.prefix}budgets"

    @property
    def looks(self) -> str:
        """ZSET tenant → turn: whose models sweeps look at next, while turns wait for these."""
        return f"{self.prefix}looks"

    @property
    def audit(self) -> str:
        """STRING: set while no worker need look for sessions that lack their due entry."""
        return f"{self.prefix}audit"

    @property
    def failed(self) -> str:
        """ZSET turn → ms: turns that gave up."""
        return f"{self.prefix}failed"

    @property
    def open(self) -> str:
        """ZSET turn → ms of its acceptance: the turns that have not ended."""
        return f"{self.prefix}open"

    @property
    def held(self) -> str:
        """ZSET session → ms since when its open calls wait for their answers."""
        return f"{self.prefix}held"

    @property
    def webhooks(self) -> str:
        """ZSET turn → ms: when to look at a webhook again."""
        return f"{self.prefix}webhooks"

    @property
    def webhook_lines(self) -> str:
        """ZSET API key → its place in the order in which those are served whose webhooks wait."""
        return f"{self.prefix}webhook_lines"

    @property
    def undelivered(self) -> str:
        """ZSET turn → ms: webhooks that were given up."""
        return f"{self.prefix}undelivered"

    @property
    def batches_due(self) -> str:
        """ZSET `tenant/batch` → ms: when a gateway may take it up; the batches of each tenant that may be at work."""
        return f"{self.prefix}batches_due"

    def schedule(self, schedule: str = "") -> str:
        """HASH: a question that is to be asked later, or again and again: its session, its rule, and its next tick."""
        return f"{self.prefix}schedule:{schedule}"

    def schedules(self, tenant: str = "") -> str:
        """ZSET `session schedule` → 0: a tenant's schedules, in the order of their sessions' names."""
        return f"{self.prefix}schedules:{tenant}"

    def scheduled_bytes(self, tenant: str = "") -> str:
        """HASH `session schedule` → bytes that it asks: a tenant's schedules over 1 KiB; an empty field → their sum."""
        return f"{self.prefix}scheduled_bytes:{tenant}"

    @property
    def schedules_due(self) -> str:
        """ZSET `session schedule` → ms: when to look at it again."""
        return f"{self.prefix}schedules_due"

    @property
    def stats(self) -> str:
        """HASH: exact counters."""
        return f"{self.prefix}stats"

    @property
    def schema(self) -> str:
        """HASH: the number of the newest schema of all processes that ever started, and the version that brought it."""
        return f"{self.prefix}schema"

    @property
    def minutes(self) -> str:
        """HASH place → one minute of the last two hours: what there was, and what had been counted until then, as JSON."""
        return f"{self.prefix}minutes"

    @property
    def workers(self) -> str:
        """HASH worker → JSON: who is at work, in which version, and by which settings."""
        return f"{self.prefix}workers"

    @property
    def heard(self) -> str:
        """ZSET worker → ms: when it was last heard. It is stored as `roll`, which workers of earlier versions read."""
        return f"{self.prefix}roll"

    def queue(self, name: str = "") -> str:
        """LIST: Celery's messages, oldest last. With the default prefix its name alone, as Celery names it."""
        return name if self.prefix == _USUAL else f"{self.prefix}queue:{name}"

    @staticmethod
    def celery_result(turn: str = "") -> str:
        """STRING and channel: where a plain Celery app waits for its result."""
        return f"celery-task-meta-{turn}"
