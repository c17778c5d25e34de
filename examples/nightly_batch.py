"""A job for cron: ask every row of a CSV file, and write the answers to another.

Rows of one customer are asked in their order; customers run side by side. The id of a turn is made of the date and the
row, so a second run on the same day, after a crash for instance, asks nothing twice: it collects what is there already.

    python examples/nightly_batch.py questions.csv answers.csv
"""

import csv
import datetime
import sys
from pathlib import Path

from turnstile import ChatClient, Turn, TurnEnded


def main(source: Path, target: Path) -> int:
    """Ask all rows, wait for all answers, and return the exit code: 1 when a question has no answer."""
    client = ChatClient()
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    with source.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    turns = [
        client.ask(f"{day}-{row['customer']}", row["question"], id=f"{day}-{number}", queue="batch", stream=False)
        for number, row in enumerate(rows)
    ]
    answers = [_answer(turn) for turn in turns]
    unfinished = target.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["customer", "question", "answer"])
        writer.writerows([row["customer"], row["question"], answer] for row, answer in zip(rows, answers, strict=True))
    unfinished.replace(target)  # a reader sees the whole file or none
    return int(None in answers)


def _answer(turn: Turn) -> str | None:
    try:
        return turn.result(timeout=3600)
    except TurnEnded as error:
        print(f"{turn.id}: {error}", file=sys.stderr)
        return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
