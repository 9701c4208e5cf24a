#!/usr/bin/env python3
"""conntally on the kernel of Debian 13."""

from on_kernel import main

main("13")
