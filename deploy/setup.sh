#!/bin/sh
# Once before workers and receiver start, and again with each `docker compose up`: all of it changes what is there to
# what it should be, and adds nothing twice.
set -eu
revector doctor                     # the first command of a version applies its migrations
revector deploy
