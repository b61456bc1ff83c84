"""`python -m softmask`."""

from softmask.cli import main

if __name__ == "__main__":
    main()
