#!/bin/sh
# The program in place of this one, so that its exit status and signals are its own.
exec "$@"
