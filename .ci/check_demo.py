"""Check the shape of what ``accord demo --json`` printed. Exits 1 with a line when it is wrong."""

import json
import sys
from pathlib import Path


def main(path: Path) -> int:
    """Return 0 when the file holds what the README promises."""
    content = json.loads(path.read_text())
    steps, audit = content["steps"], content["audit"]
    problems = []
    if set(content) != {"steps", "audit"}:
        problems.append("other keys than steps and audit")
    for step in steps:
        if set(step) != {"title", "outcomes", "refusal", "reads"}:
            problems.append(f"step {step.get('title')!r} has other keys")
    if len(steps) < 5 or not steps[0]["reads"]:
        problems.append("fewer than five steps, or the first has no reads")
    if not any(step["refusal"] and step["refusal"]["section"] for step in steps):
        problems.append("no refusal names a section")
    if not all(log["verified"] and log["entries"] for log in audit.values()):
        problems.append("an audit log is empty or not verified")
    for problem in problems:
        sys.stderr.write(f"demo: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
