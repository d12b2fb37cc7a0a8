"""`python -m contract_files`: writes every file that is derived from the contract; with --check it only compares."""

from __future__ import annotations

import argparse
import sys

from contract_files.files import PROJECT, derived


def main() -> int:
    """Returns the exit status: 1 where --check found a file that is not what the contract says."""
    parser = argparse.ArgumentParser(prog="contract_files", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file would change")
    check = parser.parse_args().check
    stale = {path: text for path, text in derived(PROJECT).items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(
            f"{path.relative_to(PROJECT)}: {'differs from the contract; run `make contract`' if check else 'written'}"
        )
        if not check:
            path.write_text(text)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
