"""A study and its folder of results."""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from passband.config import ConfigError, Study, load, load_stored
from passband.errors import PassbandError
from passband.results import layout, listing, locate, network_batches, published, wave_layout
from passband.results.network_batches import NetworkBatch, TrainingCell

if TYPE_CHECKING:
    import xarray as xr

    from passband.imaging.structures import Structures
    from passband.matrices.matrix import Matrix
    from passband.matrices.of_study import StudyMatrices


class Results:
    """A study and its folder of results, which may not exist yet.

    The study is read from its file, and a store is opened, when it is first needed. The folder of a
    published network is one too: it has the study, and perhaps the table of results.

    Args:
        study: The configuration. With None, it is found: in the study's file beside the folder
            `results`, or in the attributes of the stores.
    """

    #: Whether the code of parts may run that are stored with results, or are beside results that
    #: were named by their path. A study's own parts run without it, where they are used, if the
    #: user has named the study's file: by its path, its folder, or its name.
    trusts_stored = False

    def __init__(
        self,
        study: Study | None,
        folder: str | Path,
        file: Path | None = None,
        noun: str | Path = "",
    ):
        self.folder = Path(folder)
        self._given = study
        self._file = file
        #: What the user has called the study.
        self.noun = noun or folder

    @classmethod
    def find(cls, noun: str | Path) -> Self:
        """Return the results that a user names.

        Args:
            noun: A study's file, a folder with the study's file `config.yaml`, the study's folder
                of results, the study's name, or a published folder. For a folder of results or a
                name, the study's file is searched in `config.yaml`, `studies/*.yaml` and
                `<name>/config.yaml` beside the folder `results`, and in the folder of results. The
                names of Passband's own studies are known in every folder.

        Raises:
            ConfigError: If the study's file is wrong.
            PassbandError: If there is no such file, folder or study.
        """
        if (folder := locate.folder_of(Path(noun))) is not None:
            return cls(None, folder, noun=noun)
        file = Path(noun, locate.CONFIG) if Path(noun).is_dir() else Path(noun)
        study = load(file)
        found = cls(study, locate.RESULTS / study.study.name, file, noun)
        found.check_new(file)
        return found

    def __str__(self) -> str:
        return str(self.folder)

    def __reduce__(self) -> tuple:
        return Results, (self.study, self.folder)  # another process opens the stores itself

    # ── The study ────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def study(self) -> Study:
        """The configuration.

        Raises:
            ConfigError: If the study's file is wrong.
            PassbandError: If no study has this name, or if several files have one.
        """
        study = self._read()
        if study.known_parts.own and (self.trusts_stored or self.names_file):
            study.known_parts.trust()
        return study

    def _read(self) -> Study:
        if self._given is not None:
            return self._given
        if self.is_published:
            published.check(self.folder)
            return load_stored(self.folder / published.STUDY)
        if self._found is not None:
            study = load(self._found)
            Results(study, self.folder).check_new(self._found)
            return study
        if (study := locate.recorded(self.folder)) is not None:
            return study
        self._check_own_file()
        root = self.folder.absolute().parent.parent
        raise PassbandError(
            f"{self.noun}: neither {locate.shown(root / locate.CONFIG)} nor a file in "
            f"{locate.shown(root / 'studies')} has a study of this name, and the results do not "
            "name their study; give the study's file"
        )

    def check_trusted(self) -> None:
        """Raise PassbandError if the study has parts of its own that are not trusted."""
        if not self.study.known_parts.is_trusted:
            raise PassbandError(
                f"{self.noun}: the study has parts of its own, whose code would run; name its "
                "file if you trust who wrote it"
            )

    @property
    def names_file(self) -> bool:
        """Whether the user named the study's file: by its path, its folder, or the study's name.

        A path of results names no file, not even one that is found in them or for them.
        """
        if self._file is not None:
            return True
        noun = Path(self.noun)
        is_word = noun.parent == Path()
        if not is_word or self.is_published or self._found is None:
            return False
        # A word can be a path of results too: one in the working directory, or ".".
        by_name = locate.RESULTS / noun
        is_name = self.folder in (by_name, noun / by_name)
        is_in_results = self.folder in self._found.parents
        return is_name and not is_in_results

    @property
    def is_known(self) -> bool:
        """Whether the study is found: the results may have no file, or several."""
        try:
            return self.study is not None
        except PassbandError:
            return False

    @cached_property
    def _found(self) -> Path | None:
        found = self._file or locate.file_of(self.folder, self.noun)
        return found or locate.own_file_of(self.folder)

    @property
    def file(self) -> Path:
        """The study's file; PassbandError is raised if it has results but no file, or several."""
        if self._found is None:
            self._check_own_file()
            raise PassbandError(
                f"{self.noun}: no file has a study of this name; give the study's file"
            )
        return self._found

    def _check_own_file(self) -> None:
        """Raise ConfigError if the folder has a file of the study, which is not found if wrong."""
        if self.has(layout.STUDY):
            load(self.path(layout.STUDY))

    @property
    def name(self) -> str:
        """The study's name, which its folder has."""
        return self.folder.absolute().name

    @property
    def root(self) -> Path:
        """The folder in which Snakemake runs the study."""
        return locate.shown(self.folder.absolute().parent.parent)

    @property
    def is_published(self) -> bool:
        """Whether this is the folder of a published network."""
        return self.has(published.WEIGHTS)

    def check_new(self, source: str | Path) -> None:
        """Raise ConfigError if the study has no results yet, and what a new study must not have.

        These are the `objections` of :class:`passband.config.Study`. `source` names its file.
        """
        if not self.folder.exists() and self.study.objections:
            raise ConfigError(*(f"{source}: {line}" for line in self.study.objections))

    def refuse_published(self) -> None:
        """Raise PassbandError if this is the folder of a published network."""
        if self.is_published:
            raise PassbandError(
                f"{self.noun}: is the folder of a published network; give the study"
            )

    def existing(self) -> Self:
        """Return these results if there are any, with the names that the study has now.

        Raises:
            PassbandError: If there is no folder, as :meth:`refuse_published` and as
                :meth:`check_names`.
        """
        self.refuse_published()
        if not self.folder.is_dir():
            raise PassbandError(
                f"{self.noun}: there is no folder {self.folder} yet; run the study first"
            )
        self.check_names()
        return self

    def check_names(self) -> None:
        """Raise PassbandError if the study, if it is known, lacks a specimen or an architecture.

        The study's file then has another name for it, and the results are not its own.
        """
        if not self.is_known:
            return
        for store in (self.path(layout.TABLE), self.path(layout.OOD)):
            before = locate.configuration(store)
            for key, names, known in (
                ("specimens", self.study.specimens, before.get("specimens", ())),
                (
                    "training.architectures",
                    self.study.training.architectures,
                    before.get("training", {}).get("architectures", ()),
                ),
            ):
                if gone := [name for name in known if name not in names]:
                    raise PassbandError(
                        f"{key} = {', '.join(names)}: {store} has results of {', '.join(gone)}; "
                        "change the name back, or run the study again"
                    )

    # ── Files ────────────────────────────────────────────────────────────────────────────────────

    def path(self, template: str, **wildcards: object) -> Path:
        """Return the path of a file from its template in :mod:`passband.results.layout`."""
        return self.folder / template.format(**wildcards)

    def path_to_write(self, template: str, **wildcards: object) -> Path:
        """Return the path of a file that this process, and no job, is going to write.

        Raises:
            PassbandError: If a folder of the study on the way to it is a link.
        """
        path = self.path(template, **wildcards)
        listing.check_way(self.folder, path)
        return path

    def has(self, template: str) -> bool:
        """Return whether a file or a store such as :data:`passband.results.layout.OOD` exists."""
        return self.path(template).exists()

    def weights(self, batch: NetworkBatch) -> Path:
        """Return the file with the networks of a batch."""
        return self.folder / batch.path(layout.WEIGHTS)

    def history(self, batch: NetworkBatch) -> Path:
        """Return the file with the losses of a batch of networks."""
        return self.folder / batch.path(layout.HISTORY)

    def record(self, batch: NetworkBatch) -> Path:
        """Return the record of a batch of networks."""
        return self.folder / batch.path(layout.RECORD)

    def further(self, cell: TrainingCell) -> Path:
        """Return the record of networks under further conditions."""
        return self.folder / cell.further

    @cached_property
    def present(self) -> frozenset[Path]:
        """The weights files of the study's present batches; none if the study is not found.

        The folder may have files of other batches too, which the study had before.
        """
        batches = network_batches.batches_of(self.study) if self.is_known else ()
        return frozenset(map(self.weights, batches))

    def waves(self, specimen: str, split: str, sets: Iterable[str] = ("",)) -> list[str]:
        """Return the files with the exit waves of a specimen's split, of sets with these ids."""
        names = wave_layout.shards(self.study, specimen, split, sets)
        return [f"{self.folder}/{name}" for name in names]  # the workflow names many files

    def structures(
        self, specimen: str, split: str, sets: Iterable[str] = ("",), first: int | None = None
    ) -> "Structures":
        """Return a specimen's structures with their files of exit waves, which may not exist.

        Args:
            sets: The ids of their sets of exit waves.
            first: Number of structures; files without any of these first ones are left out.
        """
        from passband.imaging.structures import Structures  # zarr takes a second to import

        files = [self.waves(specimen, split, [id]) for id in sets]
        if first is not None:
            shards = -(-first // self.study.study.structures_per_shard)
            files = [of_set[:shards] for of_set in files]
        return Structures.of_study(self.study, specimen, split, chain.from_iterable(files))

    def spectrum_structures(self, specimen: str) -> "list[Structures]":
        """Return the structures of a specimen's spectrum, by split; none if a file is missing."""
        sets = wave_layout.spectrum_sets(self.study, specimen).items()
        found = [self.structures(specimen, split, ids) for split, ids in sets]
        files = chain.from_iterable(structures.files for structures in found)
        return found if all(Path(file).exists() for file in files) else []

    # ── Stores ───────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def table(self) -> "xr.Dataset":
        """The table of results, with Dice first. Each variable is read from disk when it is used.

        Raises:
            PassbandError: If there is no table, or if it is damaged.
        """
        from passband.results import stores  # zarr takes a second to import
        from passband.storage import datasets

        path = self.path(published.TABLE if self.is_published else layout.TABLE)
        if not self.is_published:
            self.check_has(layout.TABLE)
            found = stores.load_table(path)
        elif path.exists():
            published.check(self.folder)
            found = datasets.read(path, datasets.TABLE)
        elif published.is_shipped(path):
            raise PassbandError(f"{self}: is a network alone, without the results of its study")
        else:
            raise PassbandError(
                f"{self}: the published folder has no {published.TABLE}, which a recommendation "
                "needs; publish the network again from a study with a table of results"
            )
        if self.is_known:
            stores.check_of_study(path, found, self.study)
        return found[sorted(found, key=lambda name: name != "dice")]

    def matrices(self) -> "list[Matrix]":
        """Return M(i, j) of each specimen, architecture and test specimen.

        Raises:
            PassbandError: If there is no table of results, or if it is damaged.
        """
        return list(self.source.matrices)

    @cached_property
    def source(self) -> "StudyMatrices":
        """Where the matrices come from: the table of results, and the OOD metrics."""
        from passband.matrices.of_study import StudyMatrices

        read_ood = partial(getattr, self, "ood")  # which can be pickled, with its matrices
        return StudyMatrices(self.table, read_ood, self.study if self.is_known else None)

    @cached_property
    def ood(self) -> "xr.Dataset":
        """The OOD metrics, see :meth:`read`."""
        return self.read(layout.OOD)

    @cached_property
    def information(self) -> "xr.Dataset":
        """The information metrics, see :meth:`read`."""
        return self.read(layout.INFORMATION)

    @cached_property
    def prediction(self) -> "xr.Dataset":
        """The predictions, see :meth:`read`."""
        return self.read(layout.PREDICTION)

    def read(self, store: str, variables: Sequence[str] | None = None) -> "xr.Dataset":
        """Return a store in memory.

        Args:
            store: Its name, such as :data:`passband.results.layout.OOD`.
            variables: Names of the variables to read; by default all.

        Raises:
            PassbandError: If there is no such store, or if it is damaged.
        """
        from passband.results import stores  # zarr takes a second to import
        from passband.storage import datasets

        self.check_has(store)
        kinds = {
            layout.OOD: datasets.OOD,
            layout.INFORMATION: datasets.INFORMATION,
            layout.PREDICTION: datasets.PREDICTION,
        }
        found = datasets.read(self.path(store), kinds[store], variables)
        if self.is_known:
            stores.check_of_study(self.path(store), found, self.study, whole=variables is None)
        return stores.plottable(found)

    def check_has(self, store: str) -> None:
        """Raise PassbandError if a store does not exist, with the command that makes it."""
        if not self.has(store):
            if self.is_published:
                raise PassbandError(
                    f"{self}: the published folder has no {store}; open the network's study"
                )
            name = "table of results" if store == layout.TABLE else store
            raise PassbandError(f"{self}: the study has no {name} yet; run the study first")
