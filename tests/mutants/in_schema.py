"""Faults in the schema: who notes it, and who does not start because of it."""

from tests.mutants.mutant import Mutant

_SCRIPT = "turns/lua/upkeep/check_schema.lua"
_SCRIPTS = ("tests/scripts/test_schema.py",)
_PROCESSES = ("tests/integration/turns/test_schema.py",)


def _in_script(name: str, breaks: str, old: str, new: str) -> Mutant:
    return Mutant(name, breaks, _SCRIPT, old, new, _SCRIPTS)


SCHEMAS = (
    _in_script(
        "an older version is let in",
        "it misreads what a newer one has stored",
        "if newest > tonumber(number) then",
        "if false then",
    ),
    _in_script(
        "versions of one schema refuse each other",
        "a restart of the same version does not start",
        "if newest > tonumber(number) then",
        "if newest >= tonumber(number) then",
    ),
    _in_script(
        "schemas are compared as texts",
        "schema 9 refuses schema 10, and lets itself in after it",
        "if newest > tonumber(number) then",
        "if tostring(newest) > number then",
    ),
    _in_script(
        "a newer schema is never noted",
        "older versions go on starting beside it",
        "if newest < tonumber(number) then",
        "if newest == 0 then",
    ),
    _in_script(
        "each start writes the note anew",
        "the version that brought the schema is forgotten",
        "if newest < tonumber(number) then",
        "if true then",
    ),
    _in_script(
        "a spoilt note is an error",
        "no process starts any more",
        "tonumber(noted[1]) or 0",
        "tonumber(noted[1])",
    ),
    _in_script(
        "a note without a version has no end",
        "the refusal is cut off, and is no refusal",
        "noted[2] or ''",
        "noted[2]",
    ),
    _in_script(
        "the note has no version",
        "a refusal cannot say what to install",
        "'number', number, 'version', version)",
        "'number', number)",
    ),
    _in_script(
        "the note needs room",
        "no process starts at a server that is full",
        "-- FLAGS  allow-oom",
        "-- FLAGS  -",
    ),
    Mutant(
        "the note has another place",
        "versions before and after the change do not see each other",
        "turns/redis/keys.py",
        'f"{self.prefix}schema"',
        'f"{self.prefix}schemas"',
        _SCRIPTS,
    ),
    Mutant(
        "a refusal is taken for a welcome",
        "older versions start",
        "turns/store/schema.py",
        "newer=_too_old",
        'newer=always("")',
        _SCRIPTS,
    ),
    Mutant(
        "a worker does not look at the schema when it starts",
        "it takes turns that it misreads",
        "workers/process/runtime.py",
        "        await check_schema(self._store, _REDIS_SECONDS)\n",
        "",
        _PROCESSES,
    ),
    Mutant(
        "a worker that found Redis away never looks at the schema",
        "an outage lets an older version in",
        "workers/process/heartbeat.py",
        '"" if self._answered.is_set() else await self._store.check_schema()',
        '""',
        _PROCESSES,
    ),
    Mutant(
        "a gateway does not look at the schema",
        "an older one accepts what it stores in the old form",
        "producers/gateway/backend.py",
        "if not self._readable:",
        "if False:",
        _PROCESSES,
    ),
    Mutant(
        "the doctor calls every schema well",
        "nobody learns that this version does not start any more",
        "producers/cli/doctor/server_checks.py",
        "if number > SCHEMA:",
        "if False:",
        ("tests/integration/producers/test_doctor.py",),
    ),
)
