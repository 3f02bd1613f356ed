"""All benchmarks that README and docs quote, one after the other: `make bench`."""

from __future__ import annotations

import pack
import startup
import thousand
import up

startup.main()
pack.main()
up.main()
thousand.main()
