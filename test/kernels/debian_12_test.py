#!/usr/bin/env python3
"""conntally on the kernel of Debian 12."""

from on_kernel import main

main("12")
