-- Take the audit for `ms`: one worker of the deployment makes it.
-- FLAGS  allow-oom
-- WORK   10 steps
-- KEYS   audit
-- ARGV   ms
-- RETURN 1 | 0: another worker has it, or had it of late
return redis.call('SET', key.audit, 1, 'NX', 'PX', ms) and 1 or 0
