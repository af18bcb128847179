"""What a study's networks are worth, and which of them to use."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from passband.door.opened import Opened, check_names_of
from passband.grid import Condition

if TYPE_CHECKING:
    from passband.answers.tested_networks import TestedNetworks
    from passband.prediction.recommend.network_ranking import Recommendation
    from passband.prediction.recommend.recommendation_scores import RecommendationCheck


class Answering(Opened):
    """The verbs that ask a finished study."""

    def recommend(
        self,
        condition: Condition | str | Mapping[str, float | str | None],
        specimen: str | None = None,
    ) -> "Recommendation":
        """Return the networks, ranked by the Dice that is expected under the condition.

        Args:
            condition: See :meth:`condition`. A value may also be a range, such as ``"-10:25"``.
            specimen: The test specimen, which is needed if the study has several.

        Returns:
            `networks`, the best first, each with its `id` and the `dice` to expect, and more, see
            :class:`passband.prediction.recommend.network_ranking.Recommendation`.

        Raises:
            PassbandError: If the condition is wrong, or if the study has too few results.

        Example:
            >>> here = {"defocus_nm": "5:15", "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 400}
            >>> for network in demo.recommend(here).networks:
            ...     expected = network.id, network.dice.value
        """
        from passband.answers import recommendation

        if isinstance(condition, str):
            condition = self.condition(condition)
        if isinstance(condition, Condition):
            condition = condition.values()
        check_names_of(condition)
        asked = recommendation.asked_of(self.study, condition)
        return recommendation.recommend_from(self.tested(specimen), asked)

    def check_recommendations(self, specimen: str | None = None) -> "RecommendationCheck":
        """Return what recommendations are worth, with each test condition left out in turn.

        Args:
            specimen: The test specimen, which is needed if the study has several.

        Returns:
            `every` and `new`, what recommended networks lose against the best if every network can
            be chosen, and without those trained there; `coverage` of the intervals and more, see
            :class:`passband.prediction.recommend.recommendation_scores.RecommendationCheck`.

        Raises:
            PassbandError: If the study has too few results, or is a published network.

        Example:
            >>> found = demo.check_recommendations()
            >>> lost = found.every.recommended.value, found.every.nearest.value
            >>> true = found.coverage.value
        """
        from passband.answers import recommendation_check

        self.refuse_published()
        return recommendation_check.check(self.tested(specimen))

    def tested(self, specimen: str | None = None) -> "TestedNetworks":
        """Return the networks with the models of their Dice, see :meth:`recommend`.

        They are read once, as the stores are: open the study again after new results.
        """
        from passband.answers.tested_networks import TestedNetworks

        if specimen not in self._tested:
            self._tested[specimen] = TestedNetworks.open(self, specimen)
        return self._tested[specimen]

    @cached_property
    def _tested(self) -> "dict[str | None, TestedNetworks]":
        return {}
