"""Report the licences of the distributions that are installed in the running environment."""

from collections import Counter
from collections.abc import Iterator

from codegenie.plugins.registry import register_plugin

from .collect import installed
from .families import Families


class LicenseReport:
    """One line per licence family, the most frequent first, then one per distribution."""

    name = "license-report"

    def run(self, arguments: list[str]) -> Iterator[str]:
        """``arguments`` may hold ``--all`` to list every distribution."""
        families = Families.from_package(__package__)
        found = [(family := families.of(d.licenses), d) for d in installed()]
        for family, count in Counter(family for family, _ in found).most_common():
            yield f"{count:4d}  {family}"
        if "--all" in arguments:
            for family, distribution in found:
                yield f"{distribution.name} {distribution.version}: {family}"


PLUGIN = register_plugin(LicenseReport())
