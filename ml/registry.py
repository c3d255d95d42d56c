"""The registered model `equipment_anomaly_detector`: saving, aliases, and loading what a minute needs.

MLflow holds the versions. A version's bundle is a skops file with an explicit list of trusted types; its hash is a tag
of the version. Loading keeps `bundle.skops` and its arrays `scorecard.npz` under `var/models/<version>`, checked by
hash, and asks the registry by REST which version an alias means: a minute imports neither MLflow nor scikit-learn.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import features
from ml.errors import ContractError, RegistryError
from ml.scorecard import Scorecard
from warehouse.roles import Role, url, write_private
from warehouse.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ml.bundle import EquipmentAnomalyDetector

MODEL = "equipment_anomaly_detector"
EXPERIMENT = "equipment_anomaly_detector"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)
BUNDLE, SCORECARD, SAMPLE = "bundle.skops", "scorecard.npz", "sample.npz"
_HASH_TAG = "bundle_sha256"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aliases:
    """Versions by alias; `registry_away` where they are the last ones known."""

    versions: dict[str, str]
    registry_away: bool

    def __getitem__(self, alias: str) -> str | None:
        return self.versions.get(alias)


def tracking_uri(settings: Settings) -> str:
    """`MLFLOW_TRACKING_URI` as for any MLflow client, else the local server, else its database directly."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given
    server = f"http://127.0.0.1:{settings.mlflow_port}"
    try:
        with urllib.request.urlopen(f"{server}/health", timeout=2):
            return server
    except OSError:
        return url(settings, Role.MLFLOW, "mlflow", driver="psycopg2")


def client(settings: Settings) -> MlflowClient:
    """An MLflow client on the registry."""
    # MLflow reports usage over the network and checks pip on import of a model; neither has a place in a plant.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # MLflow's own seven take four minutes, in which a gate would hold its lock.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    import mlflow

    uri = tracking_uri(settings)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _furnished(settings: Settings) -> MlflowClient:
    """A client on a registry that has the experiment and the registered model."""
    handle = client(settings)
    from mlflow.exceptions import MlflowException

    try:
        if handle.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = settings.var / "mlflow" / "artifacts"
            artifacts.mkdir(parents=True, exist_ok=True)
            handle.create_experiment(EXPERIMENT, artifact_location=(artifacts / EXPERIMENT).resolve().as_uri())
        if not handle.search_registered_models(filter_string=f"name = '{MODEL}'"):
            handle.create_registered_model(MODEL, description="Detector, action classifier and time to failure.")
    except MlflowException as error:
        raise RegistryError(f"the model registry doesn't answer: {str(error).splitlines()[0]}") from error
    return handle


def folder(settings: Settings, version: str) -> Path:
    return settings.var / "models" / version


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def register(
    settings: Settings,
    bundle: EquipmentAnomalyDetector,
    example: np.ndarray[Any, Any],
    parameters: dict[str, Any],
    metrics: dict[str, float],
    *,
    tags: dict[str, str] | None = None,
    sample: dict[str, np.ndarray[Any, Any]] | None = None,
) -> tuple[str, str]:
    """Log `bundle` with parameters, finite metrics, signature and an input example; returns (version, run id).

    `sample` are the rows that it was fitted and judged on, as arrays; `tags` are the run's. Raises RegistryError where
    the registry doesn't take all of it; what it took by then is a run marked failed, and no version.
    """
    with _answering():
        return _register(settings, bundle, example, parameters, metrics, tags or {}, sample)


def _register(
    settings: Settings,
    bundle: EquipmentAnomalyDetector,
    example: np.ndarray[Any, Any],
    parameters: dict[str, Any],
    metrics: dict[str, float],
    tags: dict[str, str],
    sample: dict[str, np.ndarray[Any, Any]] | None,
) -> tuple[str, str]:
    handle = _furnished(settings)
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from ml.bundle import TRUSTED_TYPES
    from ml.features import FEATURES

    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in FEATURES]), outputs=Schema([ColSpec("string")])
    )
    experiment = handle.get_experiment_by_name(EXPERIMENT)
    with mlflow.start_run(experiment_id=experiment.experiment_id, tags=tags) as run:
        mlflow.log_params(parameters)
        mlflow.log_metrics({name: value for name, value in metrics.items() if np.isfinite(value)})
        with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(1) as beside:
            # Seconds of zlib, while MLflow writes the bundle.
            packed = beside.submit(np.savez_compressed, Path(place) / SAMPLE, **(sample or {}))  # type: ignore[arg-type]
            logged = mlflow.sklearn.log_model(
                bundle,
                name="bundle",
                serialization_format="skops",
                skops_trusted_types=TRUSTED_TYPES,
                signature=signature,
                input_example=pd.DataFrame(example, columns=list(FEATURES)),
                # Named, or MLflow would start a process that imports everything to find out.
                pip_requirements=_requirements(),
            )
            packed.result()
            if sample is not None:
                mlflow.log_artifact(str(Path(place) / SAMPLE))
        run_id = str(run.info.run_id)
    path = _download(logged.model_uri)
    created = mlflow.register_model(logged.model_uri, MODEL, tags={_HASH_TAG: sha256(path)})
    version = str(created.version)
    try:
        keep(settings, version, path, sha256(path), bundle.scorecard)
    except OSError:
        handle.delete_model_version(MODEL, version)
        raise
    return version, run_id


@contextmanager
def _answering() -> Iterator[None]:
    """What a registry throws that is away or full, as a RegistryError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RegistryError(f"the model registry doesn't answer: {str(error).strip().splitlines()[0]}") from error


def require(settings: Settings) -> None:
    """Raise RegistryError unless the registry answers; makes the experiment and the registered model if missing."""
    with _answering():
        _knock(settings)
        _furnished(settings)


def _knock(settings: Settings) -> None:
    """Raise OSError where the registry's server doesn't answer: MLflow's own client would try again and again."""
    if (given := tracking_uri(settings)).startswith("http"):
        _ask(given)


def sample_of(settings: Settings, run_id: str) -> dict[str, np.ndarray[Any, Any]] | None:
    """The rows that a run was fitted and judged on, as arrays; None where the run has kept none."""
    handle = client(settings)
    with _answering():
        _knock(settings)
        if SAMPLE not in {entry.path for entry in handle.list_artifacts(run_id)}:
            return None
        with tempfile.TemporaryDirectory() as place:
            path = handle.download_artifacts(run_id, SAMPLE, place)
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)


def describe(settings: Settings, version: str, run_id: str, artifacts: Path, description: str) -> None:
    """Add the files of a folder to a version's run, and a description of at most 5,000 characters to the version."""
    handle = client(settings)
    with _answering():
        _knock(settings)
        handle.log_artifacts(run_id, str(artifacts))
        handle.update_model_version(MODEL, version, description=description)


def _requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "numpy", "mlflow")]


def _download(model_uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    place = Path(download_artifacts(artifact_uri=model_uri))
    found = sorted(place.rglob("*.skops"))
    if len(found) != 1:
        raise RegistryError(f"{model_uri} holds {len(found)} skops files where a bundle is exactly one")
    return found[0]


def keep(settings: Settings, version: str, bundle: Path, digest: str, scorecard: Scorecard) -> None:
    """Put a version where `load` finds it, whole or not at all."""
    place = folder(settings, version)
    partial = place.with_name(f"{version}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copyfile(bundle, partial / BUNDLE)
    np.savez_compressed(partial / SCORECARD, **scorecard.arrays())  # type: ignore[arg-type]
    manifest = {BUNDLE: digest, SCORECARD: sha256(partial / SCORECARD)}
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(place, ignore_errors=True)
    try:
        partial.rename(place)
    except OSError:
        if not place.exists():
            raise
        # Another process fetched the same version at the same moment.
        shutil.rmtree(partial)


def load_bundle(path: Path) -> EquipmentAnomalyDetector:
    """The estimator in a skops file; raises RegistryError if it holds any type that is not on the list."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from ml.bundle import TRUSTED_TYPES, EquipmentAnomalyDetector

    try:
        loaded = skops.io.load(path, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as error:
        raise RegistryError(f"{path} is refused: {error}") from error
    if not isinstance(loaded, EquipmentAnomalyDetector):
        raise RegistryError(f"{path} is refused: it holds a {type(loaded).__name__}, not a bundle")
    return loaded


def load(settings: Settings, version: str) -> Scorecard:
    """The scorecard of a version, from `var/models` where its hash is right, else from the registry.

    Raises ContractError where it was trained on another feature contract: how its arrays lie is then not known either.
    """
    place = folder(settings, version)
    try:
        if sha256(place / SCORECARD) == _listed(place).get(SCORECARD):
            with np.load(place / SCORECARD, allow_pickle=False) as arrays:
                _require_ours(version, str(arrays["contract"]))
                return Scorecard.from_arrays(dict(arrays))
        _log.warning("%s is not what its manifest says; it is fetched again", place)
    except FileNotFoundError:
        _log.info("version %s is not under %s yet; it is fetched from the registry", version, place)
    return _fetch(settings, version)


def _listed(place: Path) -> dict[str, str]:
    """The hashes of a version's files, none where a machine that went down left half of its manifest."""
    try:
        listed: dict[str, str] = json.loads((place / "manifest.json").read_text())
    except ValueError:
        return {}
    return listed


def _require_ours(version: str, contract: str) -> None:
    if contract != features.contract():
        raise ContractError(f"feature contract {contract} of version {version} is not the mart's {features.contract()}")


def _fetch(settings: Settings, version: str) -> Scorecard:
    handle = client(settings)
    from mlflow.exceptions import MlflowException

    try:
        _knock(settings)
        entry = handle.get_model_version(MODEL, version)
        path = _download(f"models:/{MODEL}/{version}")
    except (MlflowException, OSError) as error:
        cause = str(error).strip().splitlines()[0]
        raise RegistryError(f"version {version} of {MODEL} can't be had from the registry: {cause}") from error
    digest = sha256(path)
    if digest != entry.tags.get(_HASH_TAG):
        raise RegistryError(f"version {version} of {MODEL} is refused: its bundle's hash is not the registered one")
    bundle = load_bundle(path)
    _require_ours(version, bundle.contract_)
    scorecard = bundle.scorecard
    keep(settings, version, path, digest, scorecard)
    return scorecard


def aliases(settings: Settings) -> Aliases:
    """Which versions the aliases mean now; the last ones known where the registry is away."""
    given = os.environ.get("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{settings.mlflow_port}")
    try:
        known = _ask(given) if given.startswith("http") else _ask_client(settings)
    except (OSError, RegistryError) as error:
        if (remembered := _remembered(settings)) is not None:
            _log.warning("the model registry is away (%s); going on with the last champion known", error)
            return Aliases(remembered, registry_away=True)
        # Before the registry's server is up for the first time, its database may already answer.
        known = _ask_client(settings)
    _remember(settings, known)
    return Aliases(known, registry_away=False)


def ask(settings: Settings) -> Aliases:
    """Which versions the aliases mean, from the registry itself; raises RegistryError where it is away.

    For what decides: to go on with the last ones known is for what must not stop.
    """
    given = tracking_uri(settings)
    try:
        known = _ask(given) if given.startswith("http") else _ask_client(settings)
    except OSError as error:
        raise RegistryError(f"the model registry is away ({error}); try again when it answers") from error
    return Aliases(known, registry_away=False)


def _remembered(settings: Settings) -> dict[str, str] | None:
    try:
        known: dict[str, str] = json.loads((settings.var / "models" / "aliases.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return known


def _remember(settings: Settings, known: dict[str, str]) -> None:
    path = settings.var / "models" / "aliases.json"
    text = json.dumps(known, indent=2) + "\n"
    if not path.exists() or path.read_text() != text:
        write_private(path, text)


def _ask(server: str) -> dict[str, str]:
    """Versions by alias from MLflow at `server`; raises OSError where it is away, RegistryError where it isn't MLflow:
    an address that is wrong must not be taken for a registry with nothing in it."""
    query = urllib.parse.urlencode({"name": MODEL})
    address = f"{server}/api/2.0/mlflow/registered-models/get?{query}"
    try:
        try:
            with urllib.request.urlopen(address, timeout=3) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            body = error.read()
        answer = json.loads(body)
        # Only a registry can say that nothing was ever registered: a proxy's 404 would make all aliases forgotten.
        if answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return {}
        given = answer["registered_model"].get("aliases", [])
        return {entry["alias"]: str(entry["version"]) for entry in given if entry["alias"] in ALIASES}
    except (http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        # Something else at its port, or an answer that broke off.
        raise RegistryError(
            f"{server} answers, but not as MLflow: MLFLOW_TRACKING_URI or MILLWRIGHT_MLFLOW_PORT names another server"
        ) from error


def _ask_client(settings: Settings) -> dict[str, str]:
    with _answering():
        handle = client(settings)
        from mlflow.exceptions import MlflowException

        try:
            entry = handle.get_registered_model(MODEL)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # nothing was ever registered
                return {}
            raise
    return {alias: str(version) for alias, version in entry.aliases.items() if alias in ALIASES}


def set_aliases(settings: Settings, wanted: dict[str, str | None]) -> None:
    """Point aliases at versions, or take them away where the version is None."""
    handle = client(settings)
    for alias, version in wanted.items():
        if version is None:
            handle.delete_registered_model_alias(MODEL, alias)
        else:
            handle.set_registered_model_alias(MODEL, alias, version)
    _remember(settings, _ask_client(settings))
