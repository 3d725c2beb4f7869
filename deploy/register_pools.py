"""Make the work pools, and let later runs stand for those that nobody was there to start."""

from flows.catching_up import catch_up
from flows.pools import ensure_pools

if __name__ == "__main__":
    ensure_pools()
    catch_up()
