"""The networks that ``passband predict`` uses: named by the user, or recommended for each image."""

import argparse
import shlex
from pathlib import Path

from passband.commands.arguments import BEHIND_WAVE, FURTHER_BEHIND, find_study, network_source
from passband.commands.ctf import check_unused, known_lens
from passband.console import escaped
from passband.errors import PassbandError
from passband.network_id import NetworkId
from passband.results import locate


def is_auto(options: argparse.Namespace) -> bool:
    """Return whether the network is chosen for each image."""
    if "auto" not in options.network:
        return False
    if len(options.network) > 1 or options.replicas is not None:
        raise PassbandError(
            "--network = 'auto': cannot be used together with other networks or --replicas"
        )
    if options.defocus_nm is not None:
        raise PassbandError(
            f"--defocus-nm = {options.defocus_nm:g}: cannot be used together with --network auto, "
            "which measures the defocus"
        )
    if len(options.words) < 2:
        raise PassbandError("no image: give a study, then files or folders")
    return True


def check_named(options: argparse.Namespace) -> None:
    """Raise PassbandError if an option is given that has no effect on a network with a name."""
    check_unused(options, "--network auto", "energy_kev")
    if options.specimen is not None:
        raise PassbandError(
            f"--specimen = {options.specimen!r}: has an effect only together with --network auto"
        )
    for name in ("cs_um", "aperture_mrad", *FURTHER_BEHIND):
        if (value := getattr(options, name)) is not None and options.defocus_nm is None:
            raise PassbandError(
                f"{BEHIND_WAVE[name].option} = {value:g}: has an effect only together with "
                "--defocus-nm or --network auto"
            )


def recommended(
    options: argparse.Namespace, paths: list[Path]
) -> tuple[dict[Path, list], dict[Path, dict[NetworkId, float]], dict[Path, str]]:
    """Return the network that the study recommends for each image, and print why.

    Each image is measured alone. A study's store of images is not measured, since it states its
    condition. The second result has the Dice that the study's model expects of the network under
    the condition. The third result has a line for each image whose condition cannot be measured,
    or that no network fits.
    """
    from passband.answers import image_recommendation
    from passband.learning.network_files import open_networks
    from passband.micrographs.batch import failure
    from passband.prediction.recommend import recommendation_text

    results = find_study(options.words[0], print)
    tested = results.tested(options.specimen)
    known = known_lens(options, options.cs_um, options.aperture_mrad)
    known.check()
    given = {
        name: None if (value := getattr(options, name)) is None else f"{value:.10g}"
        for name in ("aperture_mrad", "dose_e_per_A2", *FURTHER_BEHIND)
    }
    chosen, ctf, failed = {}, {}, {}
    for path in paths:
        try:
            if found := image_recommendation.of_store(
                tested, path, {**given, "cs_um": options.cs_um}
            ):
                lines = [f"{path.name}: states {found[0].found.asked.words}"]
            else:
                lens = image_recommendation.measure(
                    path, options.pixel_size_A, known, results.study
                )
                lines = [lens.line(), *(f"  {note}" for note in lens.notes)]
                found = image_recommendation.recommend(tested, lens, given)
            id, expected = image_recommendation.best(found)
            chosen[path] = open_networks(results, id)
            ctf[path] = {id: expected}
        except Exception as error:  # the other files are still segmented
            failed[path] = failure(path, error)
            continue
        print("\n".join(map(escaped, lines)))
        print(f"  recommended: {id}, expected Dice {expected:.3f}")
        for line in recommendation_text.beyond_doses(found[0].found):
            print(f"  {line}")
    return chosen, ctf, failed


def named(options: argparse.Namespace) -> tuple[list, list[str]]:
    """Return the networks, and the files and folders that the user gave."""
    from passband.learning.network_files import is_id, open_networks

    nouns, words = options.network, list(options.words)
    texts = [noun for noun in nouns if is_id(noun) and not Path(noun).exists()]
    if texts and len(texts) < len(nouns):
        (path, *_) = (noun for noun in nouns if noun not in texts)
        raise PassbandError(
            f"--network = {path!r}: is not an id, and --network = {texts[0]!r} is an id; give "
            "either ids or paths"
        )
    ids = [NetworkId.parse(text) for text in texts]
    if nouns and not ids:
        found = [network for noun in nouns for network in open_networks(noun)]
    else:
        check_no_image(words[0])
        source = network_source(Path(words.pop(0)))
        found = [each for id in ids or [None] for each in open_networks(source, id)]
    if not words:
        raise PassbandError("no image: give files or folders after the network")
    found = list({(network.path, network.id): network for network in found}.values())
    return _replicas(found, options.replicas), words


def check_no_image(word: str) -> None:
    """Raise PassbandError if a word in the place of a network names images."""
    from passband.micrographs.images.suffixes import is_image  # only this check needs it

    path = Path(word)
    what = ""
    if word == "sample" and not path.exists():
        what = "an image of the package"
    elif is_image(path) and path.exists():
        what = "an image"
    elif path.is_dir() and not (path / locate.CONFIG).exists() and not locate.network_path(word):
        files = (file for file in path.iterdir() if file.is_file())
        what = "a folder of images" if any(map(is_image, files)) else ""
    if what:
        raise PassbandError(
            f"{word}: is {what}; name a network first: passband predict general {shlex.quote(word)}"
        )


def _replicas(networks: list, wanted: str | None) -> list:
    """Return the networks with the replica numbers in the option `--replicas`."""
    if wanted is None:
        return networks
    known = sorted({network.replica for network in networks})
    try:
        numbers = {int(word) for word in wanted.split(",")}
    except ValueError:
        numbers = set()
    if not numbers or not numbers <= set(known):
        raise PassbandError(
            f"--replicas = {wanted!r}: must be numbers separated by commas, out of "
            f"{','.join(map(str, known))}"
        )
    return [network for network in networks if network.replica in numbers]
