"""The application: HTTP in front of `core`. Starts fast, loads no picture library and no GPU library."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag

from api.access_log import AccessLogController
from api.api_keys import ApiKeyController
from api.asking import Asking, require_no_nul
from api.assets import AssetController, LinkController
from api.audit import AuditController
from api.auth import provide_caller, provide_parts
from api.certificates import CertificateController
from api.consents import ConsentController, SubjectConsentController
from api.docs import DocsController, Reference
from api.edge import Edge
from api.erasures import ErasureController
from api.exports import ExportController
from api.headshots import HeadshotController
from api.health import HealthController, Lookout
from api.imports import ImportController, SubjectImportController
from api.legal_holds import LegalHoldController, SubjectHoldController
from api.limits import Limiter
from api.metrics import Metrics, MetricsController
from api.notices import NoticeController
from api.operator.auth import SCHEME
from api.operator.routes import operator_router
from api.person_page import PersonLinkController, PersonPageController
from api.photos import PhotoController, SubjectPhotoController
from api.problems import HANDLERS
from api.records import RecordsController
from api.retention_policies import RetentionPolicyController, RetentionSimulationController
from api.rights_requests import RightsRequestController
from api.style_previews import StylePreviewController
from api.styles import StyleController
from api.subjects import SubjectController
from api.tenant import TenantController, UsageController
from api.verify import VerifyController, VerifyPageController
from api.visible_marks import VisibleMarkController
from api.webhooks import WebhookDeliveryController, WebhookEndpointController
from api.well_known import WellKnownController
from api.well_known_keys import WellKnownKeysController
from api.well_known_retention import WellKnownRetentionController
from core import logs
from core.bootstrap import open_parts
from core.intake.clean import Intake, IntakeLimits
from core.portability.receive import Receiver
from core.provenance.verify import Checker
from core.settings import Settings

JSON_MAX_BYTES = 1024 * 1024

DESCRIPTION = """\
Professional headshots from one photo, with the person's own face and the person's own say.

Create a **subject**, record their **consents** under a published **notice**, upload a **photo**, ask for **headshots**.
Every photo is sealed under a key of that person alone; erasing the subject destroys the key.

# Conventions
- **Credentials.** `Authorization: Bearer lk_live_…`; a key of the sandbox, `lk_test_…`, is free, its results are
  visibly marked, and it has people of its own: neither finds the other's. The tenant comes from the key, never from the
  path.
- **Errors** are `application/problem+json` with a stable `code`: [every one, explained](/docs/errors).
- **Repeats.** Send an `Idempotency-Key` with every POST that creates; it is remembered for 24 hours.
- **Pages** are newest first, with `limit` and an opaque `cursor`.
- **Limits** are announced in `RateLimit` and `RateLimit-Policy`; 429 comes with `Retry-After`.
- **Times** are RFC 3339 in UTC. **Ids** say what they name: `sub_`, `pho_`, `job_`, `hs_`, `ast_`.
"""

TAGS = [
    Tag(name="Tenant", description="Who you are, your API keys, and your credits."),
    Tag(name="Notices", description="What people are told: published versions that never change."),
    Tag(name="Subjects", description="The people in the photos."),
    Tag(name="Consents", description="An append-only ledger, purpose by purpose."),
    Tag(name="Photos", description="What a person uploads: cleaned, sealed, checked for a face."),
    Tag(name="Styles", description="Named looks, your own visible mark, and what both come to."),
    Tag(name="Headshots", description="What we make: one job per request, one headshot per style."),
    Tag(name="Assets", description="The sealed pictures themselves."),
    Tag(name="Verify", description="For anyone, without an account: is this picture ours, and is it as it left?"),
    Tag(name="Webhooks", description="Events, signed as Standard Webhooks has it."),
    Tag(name="Erasures", description="What was asked to be forgotten, step by step, and the proof that it was."),
    Tag(name="Audit", description="What happened, as a log that cannot be rewritten unseen."),
    Tag(name="Rights requests", description="What people ask for under their law, and by when they get an answer."),
    Tag(name="Records", description="What reviewers ask for: one signed document, and who else processes."),
    Tag(name="Retention", description="How long what is kept, what a change would delete, what must stay."),
    Tag(name="Operators", description="For whoever runs this service."),
    Tag(name="Health", description="For load balancers and orchestrators."),
]


def _operation_id(handler: HTTPRouteHandler, _method: Any, _path: Any) -> str:
    return handler.handler_name


def _openapi(settings: Settings) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Likeness",
        version="1.0",
        summary="Privacy-first AI headshots.",
        description=DESCRIPTION,
        servers=[Server(url=settings.api.public_url)],
        tags=TAGS,
        path="/schema",
        render_plugins=[Reference(), JsonRenderPlugin()],
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        components=Components(
            security_schemes={
                "tenantKey": SecurityScheme(
                    type="http", scheme="bearer", description="An API key: `lk_live_…` or `lk_test_…`."
                ),
                SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An operator: the token of a session, an ID token, or the token of a machine. "
                    "The roles that an operation needs are named with it.",
                ),
            }
        ),
    )


def state_of(settings: Settings) -> dict[str, Any]:
    """What an application holds before its parts are open."""
    limits = IntakeLimits(max_bytes=settings.api.upload_max_bytes)
    return {
        "settings": settings,
        "metrics": Metrics(),
        "lookout": Lookout(),
        "public_url": settings.api.public_url,
        "intake": Intake(limits),
        # Apart from the other, so that strangers cannot stand in the way of uploads.
        "checker": Checker(Intake(limits)),
    }


@asynccontextmanager
async def _parts(app: Litestar) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    limiter = Limiter(settings)
    async with open_parts(settings) as parts:
        app.state.parts = parts
        app.state.limiter = limiter
        app.state.receiver = Receiver(
            parts.database, parts.store, app.state.intake, anchors=settings.portability.anchors
        )
        yield
    await limiter.close()


def create_app(settings: Settings | None = None) -> Litestar:
    """The application. Its parts are opened by its lifespan, so nothing connects before it is served."""
    settings = settings or Settings()
    logs.configure(settings, service="api")
    tenant_routes = Router(
        path="/v1",
        security=[{"tenantKey": []}],
        dependencies={"caller": Provide(provide_caller, sync_to_thread=False)},
        route_handlers=[
            TenantController,
            ApiKeyController,
            UsageController,
            NoticeController,
            SubjectController,
            SubjectConsentController,
            ConsentController,
            SubjectPhotoController,
            PhotoController,
            StyleController,
            StylePreviewController,
            VisibleMarkController,
            HeadshotController,
            AssetController,
            WebhookEndpointController,
            WebhookDeliveryController,
            RightsRequestController,
            ExportController,
            SubjectImportController,
            ImportController,
            RecordsController,
            AccessLogController,
            PersonLinkController,
            ErasureController,
            CertificateController,
            AuditController,
            RetentionPolicyController,
            RetentionSimulationController,
            SubjectHoldController,
            LegalHoldController,
        ],
    )
    return Edge(
        route_handlers=[
            tenant_routes,
            operator_router(),
            LinkController,
            PersonPageController,
            WellKnownKeysController,
            HealthController,
            MetricsController,
            DocsController,
            VerifyController,
            VerifyPageController,
            WellKnownController,
            WellKnownRetentionController,
        ],
        dependencies={"parts": Provide(provide_parts, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        request_class=Asking,
        before_request=require_no_nul,
        lifespan=[_parts],
        openapi_config=_openapi(settings),
        request_max_body_size=JSON_MAX_BYTES,
        state=State(state_of(settings)),
        logging_config=None,
        debug=False,
    )
