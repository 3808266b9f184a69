"""`python -m svhncli` is the same as `svhn`."""

from svhncli.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
