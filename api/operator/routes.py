"""`/operator/v1`: for whoever runs the service. No route here returns a picture, a key, or a person's reference."""

from litestar import Router
from litestar.di import Provide

from api.operator.approvals import ApprovalController
from api.operator.audit import OperatorAuditController
from api.operator.auth import provide_operator, stated
from api.operator.break_glass import BreakGlassController
from api.operator.erasures import OperatorErasureController
from api.operator.jobs import OperatorJobController
from api.operator.keys import KeysController
from api.operator.now import NowController
from api.operator.operators import ActController, OperatorController
from api.operator.quotas import QuotaController
from api.operator.retention import OperatorRetentionController
from api.operator.rights_requests import OperatorRequestController
from api.operator.sessions import InvitationController, SessionController
from api.operator.tenants import OperatorTenantController
from api.operator.webhooks import OperatorDeliveryController, OperatorEndpointController
from api.operator.workers import ModelController, WorkerController

CONTROLLERS = (
    SessionController,
    InvitationController,
    OperatorController,
    ApprovalController,
    BreakGlassController,
    ActController,
    NowController,
    OperatorTenantController,
    QuotaController,
    OperatorJobController,
    OperatorRetentionController,
    OperatorRequestController,
    OperatorErasureController,
    OperatorEndpointController,
    OperatorDeliveryController,
    KeysController,
    OperatorAuditController,
    WorkerController,
    ModelController,
)


def operator_router() -> Router:
    """The routes, each with its roles."""
    return Router(
        path="/operator/v1",
        dependencies={"operator": Provide(provide_operator, sync_to_thread=False)},
        route_handlers=stated(CONTROLLERS),
    )
