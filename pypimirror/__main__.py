"""``python -m pypimirror``."""

from pypimirror.cli import main

if __name__ == "__main__":
    main()
