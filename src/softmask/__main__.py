"""`python -m softmask`."""

from softmask.program import main

if __name__ == "__main__":
    main()
