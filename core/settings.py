"""Everything that a deployment may set, grouped, frozen and read once.

Each group reads `LIKENESS_<GROUP>_<FIELD>` from the environment. The five places that hold state are named by URL:
`LIKENESS_DATABASE_URL` (and its siblings for the other roles), `LIKENESS_QUEUE_URL`, `LIKENESS_STORAGE_URL`,
`LIKENESS_TOMBSTONES_URL`, `LIKENESS_KEYS_URL`. `likeness up` fills them in with the embedded parts under `var/` when
they are not set.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _group(name: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=f"LIKENESS_{name}_", frozen=True, extra="ignore")


class DatabaseSettings(BaseSettings):
    """PostgreSQL 18, one URL per role (`postgresql://role:password@host:port/name`).

    url: role of the application. No owner, no superuser, bound to one tenant at a time by row-level security.
    system_url: role that finds work across tenants; it sees ids, states and times, and nothing sealed but two keys of
        the deployment, which it cannot open (infra/decisions/0005).
    keys_url: role of the key store's schema; only `core.keyring` connects with it.
    operators_url: role of operators' accounts, sessions and approvals; the API alone connects with it. Without it
        nobody signs in, and only the operator token opens `/operator/v1`.
    owner_url: role that owns the tables; only migrations connect with it.
    idle_transaction_seconds: PostgreSQL ends a transaction of a process that froze for this long, and frees its locks.
    """

    model_config = _group("DATABASE")
    url: SecretStr
    system_url: SecretStr
    keys_url: SecretStr
    operators_url: SecretStr | None = None
    owner_url: SecretStr | None = None
    pool_size: int = Field(default=10, ge=1, le=200)
    idle_transaction_seconds: int = Field(default=60, ge=1)


class QueueSettings(BaseSettings):
    """Redis or Valkey. It only wakes workers: losing it loses nothing."""

    model_config = _group("QUEUE")
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    poll_seconds: float = Field(default=0.05, gt=0, le=5)


class StorageSettings(BaseSettings):
    """The object store: `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`."""

    model_config = _group("STORAGE")
    url: str


class TombstoneSettings(BaseSettings):
    """The tombstone ledger: a place of its own, apart from the objects and from every backup. A URL as for storage."""

    model_config = _group("TOMBSTONES")
    url: str


class BackupSettings(BaseSettings):
    """Backups, and how long a copy of anything may live.

    folder: where `likeness backup` puts them. None: the command must name a folder.
    horizon_days: a backup of the database and the objects is pruned after this.
    keys_days: a backup of the key store is pruned after this, and no copy of it made elsewhere (a snapshot of a disk,
        an archive of the write-ahead log) may live longer. An erasure's second moment is reckoned from it.
    """

    model_config = _group("BACKUP")
    folder: Path | None = None
    horizon_days: int = Field(default=35, ge=1)
    keys_days: int = Field(default=7, ge=1)


class KeySettings(BaseSettings):
    """The key provider: `file:///path/to/folder`; `aws-kms://…` and `vault://…` have their place in the Protocol.

    local_in_production: key files are refused in production unless this says that they are wanted.
    """

    model_config = _group("KEYS")
    url: str
    local_in_production: bool = False
    cache_seconds: float = Field(default=300, gt=0, le=300)
    cache_uses: int = Field(default=1000, ge=1, le=1000)


class ApiSettings(BaseSettings):
    """The HTTP edge."""

    model_config = _group("API")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = "http://127.0.0.1:8080"
    operator_token_sha256: str | None = None
    requests_per_minute: int = Field(default=1200, ge=1)
    upload_max_bytes: int = Field(default=25 * 1024 * 1024, ge=1024)
    import_max_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)


class OperatorSettings(BaseSettings):
    """Who runs the service, and how they sign in.

    console_url: where the console is (LIKENESS_CONSOLE_PUBLIC_URL), for the links of invitations.
    password_sign_in: may be turned off where an OIDC issuer is set.
    idle_minutes, session_hours: after how long a session ends, unused or at all.
    oidc_issuer: the provider's issuer, exactly as it writes it; its discovery document is found from there.
    oidc_audiences: client ids whose ID tokens are taken.
    oidc_algorithms: how they may be signed. None that uses a shared secret is ever taken.
    oidc_leeway_seconds: how far the provider's clock may differ from ours.
    """

    model_config = _group("OPERATORS")
    console_url: str | None = Field(default=None, validation_alias="LIKENESS_CONSOLE_PUBLIC_URL")
    password_sign_in: bool = True
    idle_minutes: int = Field(default=30, ge=1, le=720)
    session_hours: int = Field(default=12, ge=1, le=24)
    oidc_issuer: str | None = None
    oidc_audiences: frozenset[str] = frozenset()
    oidc_algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...] = (
        "RS256",
        "ES256",
    )
    oidc_leeway_seconds: int = Field(default=60, ge=0, le=300)

    @model_validator(mode="after")
    def _somebody_can_sign_in(self) -> Self:
        if self.oidc_issuer is None and not self.password_sign_in:
            raise ValueError("password_sign_in can be off only where oidc_issuer is set: nobody could sign in")
        if self.oidc_issuer is not None and not self.oidc_audiences:
            raise ValueError("oidc_issuer needs oidc_audiences: an ID token for another client is not for us")
        return self


class WebhookSettings(BaseSettings):
    """Delivery. `allowed_hosts` names hosts that may be private or plain http: for development, never by default."""

    model_config = _group("WEBHOOKS")
    allowed_hosts: frozenset[str] = frozenset()
    timeout_seconds: float = Field(default=20, gt=0, le=60)


class WorkerSettings(BaseSettings):
    """The workers. `ready_file` is touched once the worker picks up work: for supervisors and probes."""

    model_config = _group("WORKER")
    ready_file: Path | None = None
    region: str = "local"
    concurrency: int = Field(default=2, ge=1, le=64)
    heartbeat_seconds: float = Field(default=15, gt=0)
    lease_seconds: float = Field(default=45, gt=0)
    drain_seconds: float = Field(default=25, gt=0)
    sweep_seconds: float = Field(default=5, gt=0)


class ModelSettings(BaseSettings):
    """The diffusion model and how the engine runs it.

    path: a folder of a diffusers inpainting pipeline. None, or an empty path, keeps the style's own studio backdrop.
    registry: where models are pinned; one that is not does not start.
    strength: how far a backdrop may go from the style's own, which it begins with.
    close_strength: the same for rooms, parks and cities, whose things a small model would dissolve, and for a tenant's
        own styles, whose colours are promised; None: as strength.
    scheduler: the model's own, or another over the model's own noise schedule.
    precision: auto is bfloat16 on a GPU that has it and float32 elsewhere.
    mode: how the U-Net is called; compile and graphs fall back to eager where they do not work.
    attention: auto tries the kernels of a GPU per shape.
    max_rows: rows in one forward pass, at most; a guided picture takes two.
    tenant_share: of those rows, that one tenant may hold while others wait.
    attire: the model is a full-size inpainting model, and clothes may be changed with it. The API goes by this alone; a
        worker whose model is not one does not start with it.
    """

    model_config = _group("MODEL")
    path: Path | None = None
    registry: Path = Path("var/models")
    steps: int = Field(default=20, ge=1, le=150)
    guidance: float = Field(default=5.0, ge=0, le=30)
    strength: float = Field(default=0.6, gt=0, le=1)
    close_strength: float | None = Field(default=None, gt=0, le=1)
    scheduler: Literal["model", "ddim", "euler", "dpm++"] = "model"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    mode: Literal["eager", "compile", "graphs"] = "eager"
    attention: Literal["auto", "sdpa", "flash", "cudnn", "xformers"] = "auto"
    max_rows: int = Field(default=32, ge=2, le=256)
    tenant_share: float = Field(default=0.5, gt=0, le=1)
    attire: bool = False

    @field_validator("path", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None


class ProvenanceSettings(BaseSettings):
    """How headshots are signed.

    time_stamp_url: an RFC 3161 authority. With it a signature outlives its certificate, which may then be short-lived.
    time_stamp_anchors: a file with the roots of that authority, in PEM: whose time stamps count. They make no signature
        ours.
    signer_days: how long a tenant's certificate is good for; without time stamps, what it signed is as long.
    rotate_days: after how many days a tenant's certificate is replaced.
    checks_per_minute: pictures that one stranger may have checked.
    """

    model_config = _group("PROVENANCE")
    time_stamp_url: str | None = None
    time_stamp_anchors: Path | None = None
    signer_days: int = Field(default=10 * 365, ge=1, le=20 * 365)
    rotate_days: int = Field(default=365, ge=1)
    checks_per_minute: int = Field(default=20, ge=1)


class PortabilitySettings(BaseSettings):
    """Exports from elsewhere.

    anchors: JSON, issuer → file with its published keys, `{"https://other.example": "/etc/likeness/other-keys.json"}`.
    Exports that this deployment signed are always taken in.
    """

    model_config = _group("PORTABILITY")
    anchors: dict[str, Path] = Field(default_factory=dict)


class RecordsSettings(BaseSettings):
    """What the records for reviewers say of whoever runs the service.

    name, contact: of the processor. country: in which the service runs (ISO 3166). notice_days: how long before its day
    a change of sub-processors is told.
    """

    model_config = _group("RECORDS")
    name: str | None = None
    contact: str | None = None
    country: str | None = None
    notice_days: int = Field(default=30, ge=1, le=365)


class Settings(BaseSettings):
    """All groups, each read from the environment when first asked for, so that a part fails only on what it needs."""

    model_config = SettingsConfigDict(env_prefix="LIKENESS_", frozen=True, extra="ignore")
    environment: Literal["development", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @cached_property
    def database(self) -> DatabaseSettings:
        """PostgreSQL."""
        return DatabaseSettings()

    @cached_property
    def queue(self) -> QueueSettings:
        """Redis or Valkey."""
        return QueueSettings()

    @cached_property
    def storage(self) -> StorageSettings:
        """The object store."""
        return StorageSettings()

    @cached_property
    def tombstones(self) -> TombstoneSettings:
        """The tombstone ledger."""
        return TombstoneSettings()

    @cached_property
    def backup(self) -> BackupSettings:
        """Backups."""
        return BackupSettings()

    @cached_property
    def keys(self) -> KeySettings:
        """The key provider."""
        return KeySettings()

    @cached_property
    def api(self) -> ApiSettings:
        """The HTTP edge."""
        return ApiSettings()

    @cached_property
    def operators(self) -> OperatorSettings:
        """Who runs the service."""
        return OperatorSettings()

    @cached_property
    def webhooks(self) -> WebhookSettings:
        """Webhook delivery."""
        return WebhookSettings()

    @cached_property
    def worker(self) -> WorkerSettings:
        """The GPU worker."""
        return WorkerSettings()

    @cached_property
    def model(self) -> ModelSettings:
        """The diffusion model."""
        return ModelSettings()

    @cached_property
    def provenance(self) -> ProvenanceSettings:
        """How headshots are signed."""
        return ProvenanceSettings()

    @cached_property
    def portability(self) -> PortabilitySettings:
        """Exports from elsewhere."""
        return PortabilitySettings()

    @cached_property
    def records(self) -> RecordsSettings:
        """What the records for reviewers say of whoever runs the service."""
        return RecordsSettings()
