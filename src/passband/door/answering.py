"""What a study's networks are worth, and which of them to use."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from passband.axes import AXES
from passband.door.opened import Opened, Wanted, check_axes, check_names_of, shows, with_values
from passband.errors import ArgumentError, PassbandError
from passband.grid import Condition
from passband.results import layout, published

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from passband.answers.image_recommendation import ImageRecommendation
    from passband.answers.spectrum_recommendation import SpectrumRecommendation
    from passband.answers.tested_networks import TestedNetworks
    from passband.prediction.recommend.network_ranking import Recommendation
    from passband.prediction.recommend.recommendation_scores import RecommendationCheck


class Answering(Opened):
    """The verbs that ask a finished study."""

    @shows
    def recommend(
        self,
        condition: Condition | str | Mapping[str, Wanted] | None = None,
        specimen: str | None = None,
        top: int | None = None,
        report: Callable[[str], object] = lambda line: None,
        **values: Wanted,
    ) -> "Recommendation":
        """Return the networks, ranked by the Dice that is expected under the condition.

        Args:
            condition: See :meth:`condition`. A value may also be a range, such as ``"-10:25"``.
            specimen: The test specimen, which is needed if the study has several.
            top: Number of networks in the text and in JSON.
            report: Receives a line about results that are not used, or not checked.
            values: The condition by the names of axes, as keywords. A slice is a range.

        Returns:
            `networks`, the best first, each with its `id` and the `dice` to expect, and more, see
            :class:`passband.prediction.recommend.network_ranking.Recommendation`.

        Raises:
            PassbandError: If the condition is wrong, or if the study has too few results.

        Example:
            >>> here = {"defocus_nm": "5:15", "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 400}
            >>> for network in demo.recommend(here).networks:
            ...     expected = network.id, network.dice.value
            >>> same = demo.recommend(
            ...     defocus_nm=slice(5, 15), cs_um=5, aperture_mrad=15, dose_e_per_A2=400
            ... )
        """
        from passband.answers import recommendation

        if isinstance(condition, str):
            condition = self.condition(condition)
        if isinstance(condition, Condition):
            condition = condition.values()
        condition = with_values(condition, values)
        check_names_of(condition)
        _check_top(top)
        asked = recommendation.asked_of(self.study, condition)
        found = recommendation.recommend_from(self._tested_with(specimen, report), asked)
        return replace(found, top=top)

    @shows
    def recommend_like(
        self,
        image: str | Path,
        condition: Mapping[str, float | str | None] | None = None,
        specimen: str | None = None,
        *,
        pixel_size_A: float | None = None,
        amplitude_contrast: float | None = None,
        sign: int = 0,
        top: int | None = None,
        report: Callable[[str], object] = lambda line: None,
    ) -> "ImageRecommendation":
        """Return the networks, ranked for the condition of an image, which is measured.

        Args:
            image: A file; of a stack, the first image is measured.
            condition: What is known: values by the names of axes. Aperture and dose are needed if
                the file does not state them; the defocus is measured.
            specimen, top, report: See :meth:`recommend`.
            pixel_size_A, amplitude_contrast, sign: See :func:`passband.ctf`.

        Returns:
            `lens`, what was measured, and `by_sign`: the ranked networks for each possible sign of
            the defocus, the one that is reported first.

        Raises:
            PassbandError: If the image has no rings, if its beam energy is none of the study's, or
                as :meth:`recommend`.

        Example:
            >>> known = {"energy_kev": 300, "aperture_mrad": 15, "dose_e_per_A2": 400}
            >>> try:
            ...     best = demo.recommend_like("image.tif", known).by_sign[0].found.networks[0]
            ... except passband.PassbandError as error:
            ...     reason = str(error)  # such as an image without rings
        """
        from passband.answers import image_recommendation
        from passband.micrographs.images import pixel_size, suffixes
        from passband.micrographs.rings.lens import Known

        given = of_axes(condition)
        if given["defocus_nm"] is not None:
            defocus = given["defocus_nm"]
            raise ArgumentError(f"defocus_nm = {defocus}: cannot be given, since it is measured")
        _check_top(top)
        pixel_size.check_option(pixel_size_A)
        known = Known(
            energy_keV=_number("energy_kev", given),
            cs_um=_number("cs_um", given),
            aperture_mrad=_number("aperture_mrad", given),
            amplitude_contrast=amplitude_contrast,
            sign=sign,
        )
        if Path(image).is_dir() and Path(image).suffix != ".zarr":
            raise PassbandError(f"{image}: is a folder; give one image")
        tested = self._tested_with(specimen, report)
        suffixes.use(self.study.known_parts)
        lens = image_recommendation.measure(
            Path(image), pixel_size_A, known=known, study=self.study
        )
        both = image_recommendation.recommend(tested, lens, given)
        return image_recommendation.ImageRecommendation(
            lens, tuple(replace(each, found=replace(each.found, top=top)) for each in both)
        )

    @shows
    def recommend_by_images(
        self,
        files: str | Path | Iterable[str | Path],
        specimen: str | None = None,
        *,
        pixel_size_A: float | None = None,
        top: int | None = None,
        report: Callable[[str], object] = lambda line: None,
    ) -> "SpectrumRecommendation":
        """Return the networks, ranked for the microscope of images by their power spectrum.

        Args:
            files: Image files, or folders with image files, of one microscope and specimen.
            specimen, top, report: See :meth:`recommend`.
            pixel_size_A: For images that do not have it [Å].

        Returns:
            `networks`, the best first, each with its id and the Dice to expect, and more, see
            :class:`passband.answers.spectrum_recommendation.SpectrumRecommendation`.

        Raises:
            PassbandError: If the images cannot be compared with those of the study, or as
                :meth:`recommend`.

        Example:
            >>> try:
            ...     id, dice = demo.recommend_by_images("image.tif").networks[0]
            ... except passband.PassbandError as error:
            ...     reason = str(error)  # such as an image of another material
        """
        from passband.answers import spectrum_recommendation
        from passband.micrographs.images import pixel_size, readers, suffixes

        _check_top(top)
        pixel_size.check_option(pixel_size_A)
        suffixes.use(self.study.known_parts)
        paths = readers.find([files] if isinstance(files, str | Path) else files, report)
        tested = self._tested_with(specimen, report)
        found = spectrum_recommendation.recommend(tested, paths, pixel_size_A, report=report)
        return replace(found, top=top)

    @shows
    def plot_recommendation(self, found: "Recommendation") -> "Figure":
        """Draw the expected Dice of the first network over defocus and dose.

        Args:
            found: What :meth:`recommend` has returned, with at least one network.

        Example:
            >>> here = {"defocus_nm": 12, "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 400}
            >>> figure = demo.plot_recommendation(demo.recommend(here))
        """
        from passband.figures import dice_map

        tested = self.tested(found.specimen)
        network = found.networks[0].id
        return dice_map.recommendation(
            found.asked,
            network,
            tested=tested.tested,
            expected=lambda conditions: tested.expected(conditions).of(network),
            doses=tested.doses,
        )

    @shows
    def check_recommendations(
        self,
        specimen: str | None = None,
        report: Callable[[str], object] = lambda line: None,
    ) -> "RecommendationCheck":
        """Return what recommendations are worth, with each test condition left out in turn.

        Args:
            specimen: The test specimen, which is needed if the study has several.
            report: Receives a line about results that are not used.

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
        return recommendation_check.check(self._tested_with(specimen, report))

    @shows
    def tested(self, specimen: str | None = None) -> "TestedNetworks":
        """Return the networks with the models of their Dice, see :meth:`recommend`.

        They are read once, as the stores are: open the study again after new results.
        """
        from passband.answers.tested_networks import TestedNetworks

        if specimen not in self._tested:
            self._tested[specimen] = TestedNetworks.open(self, specimen)
        return self._tested[specimen]

    def _tested_with(
        self, specimen: str | None, report: Callable[[str], object]
    ) -> "TestedNetworks":
        """Return the tested networks, and report which results are not used or not checked."""
        tested = self.tested(specimen)
        if self.is_published and (remark := published.unchecked(self.folder)):
            report(remark)
        if number := tested.left_out:
            report(f"{number} further condition(s) are not used, because {self._why_left_out()}")
        return tested

    def _why_left_out(self) -> str:
        """Return why results of further conditions are not used."""
        from passband.storage import lease

        if tester := lease.holder_of(self.path(layout.FURTHER_LEASE)):
            return f"passband evaluate still tests networks there: {tester}"
        return (
            "some networks have no valid results there; run the study, and then passband evaluate"
        )

    @cached_property
    def _tested(self) -> "dict[str | None, TestedNetworks]":
        return {}


def of_axes(given: Mapping[str, float | str | None] | None) -> dict[str, float | str | None]:
    """Return what is given for each axis, with None where nothing is."""
    given = given or {}
    check_axes(given)
    return {name: given.get(name) for name in AXES}


def _check_top(top: int | None) -> None:
    if top is not None and top < 1:
        raise ArgumentError(f"top = {top}: must be 1 or more")


def _number(name: str, given: Mapping[str, float | str | None]) -> float | None:
    """Return the value of an axis as a number, or None if it is a range or is not given.

    A range of apertures leaves the image's aperture unknown; Cs and energy must be one number.
    """
    value = given[name]
    if value is None or (name == "aperture_mrad" and ":" in str(value)):
        return None
    try:
        return float(value)
    except ValueError:
        raise ArgumentError(
            f"{name} = {value!r}: must be a number for an image whose defocus is measured"
        ) from None
