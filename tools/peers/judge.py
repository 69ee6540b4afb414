"""What the programs here that judge by another's client share."""
import sys

n = 0                   # checks that held


def check(what, ok):
    global n
    if not ok:
        sys.exit(f"FAILED: {what}")
    n += 1


def refused(what, error, says, call, *args, **more):
    """The call raises `error`, and says(it) is true."""
    try:
        call(*args, **more)
    except error as e:
        check(f"{what}: {e}", says(e))
        return
    sys.exit(f"FAILED: {what} was not refused")
