"""`/operator/v1/sessions`, `/session` and `/invitations`: how operators come in, and go."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api.auth import bearer
from api.operator.approvals import ground
from api.operator.auth import address_of, requires_admin, requires_nothing, requires_viewer
from api.problems import documented
from api.wire import Label
from core.bootstrap import Parts
from core.errors import (
    CredentialInvalid,
    Forbidden,
    MalformedRequest,
    RateLimited,
    RoleMissing,
    Unacceptable,
    Unauthenticated,
    ValidationFailed,
)
from core.ids import Prefix, public
from core.operators import accounts, invite, proposals, sessions
from core.operators.errors import EmailTaken, InvitationUnknown, PasswordWeak, SecondPersonNeeded, SignInRefused
from core.operators.models import OperatorSession
from core.operators.service import Operator, Role, Via

Email = Annotated[
    str, Meta(max_length=254, pattern=r"^\s*[^@\s]{1,64}@[^@\s]{1,189}\s*$", examples=["ada@example.com"])
]
Password = Annotated[str, Meta(min_length=1, max_length=256)]
Code = Annotated[str, Meta(min_length=6, max_length=24, description="Six digits, or a recovery code.")]
LinkToken = Annotated[str, Meta(min_length=1, max_length=100, description="The token of the link.")]


class Credentials(Struct, kw_only=True, forbid_unknown_fields=True):
    """What an operator types in."""

    email: Email
    password: Password
    code: Code


class Invitation(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to invite."""

    name: Label
    email: Email
    role: Role


class Acceptance(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the invited choose. The first admin also says who they are."""

    token: LinkToken
    password: Password
    name: Label | None = None
    email: Email | None = None


class Confirmation(Struct, kw_only=True, forbid_unknown_fields=True):
    """The first code of the authenticator."""

    token: LinkToken
    code: Code


class Linking(Struct, kw_only=True, forbid_unknown_fields=True):
    """The link of an invitation. The first admin also says who they are."""

    token: LinkToken
    name: Label | None = None
    email: Email | None = None


class OperatorView(Struct, frozen=True, kw_only=True):
    """Who is asking. id: null for the credential of a machine."""

    id: str | None
    name: str
    role: Role
    via: Via


class SessionView(Struct, frozen=True, kw_only=True):
    """A session that has just begun. token: shown this once."""

    token: str
    expires_at: datetime
    idle_minutes: int
    operator: OperatorView


class FirstSessionView(SessionView, frozen=True, kw_only=True):
    """The session of a new operator. recovery_codes: shown this once; each opens the door once without the device."""

    recovery_codes: list[str]


class EnrolmentView(Struct, frozen=True, kw_only=True):
    """What goes into the authenticator. secret: the same as in the address, to type in by hand."""

    name: str
    email: str
    role: Role
    otpauth_uri: str
    secret: str


class InvitationView(Struct, frozen=True, kw_only=True):
    """An invitation as it is made. token: shown this once."""

    id: str
    role: Role
    token: str
    link: Annotated[str | None, Meta(description="The link to send, where the console's address is configured.")]
    expires_at: datetime
    approval: Annotated[str | None, Meta(description="What a second person has to agree to before the link opens.")]


class SessionController(Controller):
    """Signing in and out."""

    path = "/"
    tags = ("Operators",)

    @post(
        "/sessions",
        summary="Sign in",
        guards=(requires_nothing,),
        responses=documented(SignInRefused, Forbidden, MalformedRequest, RateLimited, ValidationFailed),
    )
    async def create_session(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], data: JSONBody[Credentials]
    ) -> SessionView:
        """Sign in with password and code. Whatever is wrong, the answer is the same; attempts grow slower."""
        token, opened, operator = await sessions.sign_in(
            parts.database,
            parts.keyring,
            parts.settings.operators,
            email=data.email,
            password=data.password,
            code=data.code,
            address=address_of(request),
        )
        return _session_view(parts, token, opened, operator)

    @get("/session", summary="Who am I", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing))
    async def read_session(self, operator: NamedDependency[Operator]) -> OperatorView:
        """The operator that this credential belongs to."""
        return operator_view(operator)

    @delete(
        "/session",
        summary="Sign out everywhere",
        guards=(requires_viewer,),
        responses=documented(Unauthenticated, RoleMissing),
    )
    async def delete_session(self, parts: NamedDependency[Parts], operator: NamedDependency[Operator]) -> None:
        """End all sessions of this operator at once, in every tab and on every device."""
        await sessions.sign_out(parts.database, parts.keyring, operator)


class InvitationController(Controller):
    """Becoming an operator."""

    path = "/invitations"
    tags = ("Operators",)

    @post(
        summary="Invite somebody",
        guards=(requires_admin,),
        responses=documented(
            Unauthenticated, RoleMissing, SecondPersonNeeded, MalformedRequest, EmailTaken, ValidationFailed
        ),
    )
    async def create_invitation(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], data: JSONBody[Invitation]
    ) -> Response[InvitationView]:
        """Make a link by which somebody becomes an operator. It is shown this once, and good for three days.

        As soon as there was a second person who may approve, the link opens only once somebody else has agreed:
        `approval` names the proposal. A machine is nobody: once there is anybody who may approve, it invites nobody.
        """
        async with parts.database.operator() as session:
            waits = await accounts.needs_second_person(session, operator)
            if waits:
                proposals.require_person(operator)
            token, made = await invite.invite(
                session,
                parts.keyring,
                name=data.name,
                email=data.email,
                role=data.role,
                invited_by=operator.actor,
                waits=waits,
            )
        approval = None
        if waits:
            wish = {"invitation": made.id.hex}
            reason = f"An invitation as {data.role.value}."
            asked = await proposals.propose(
                ground(parts), operator, kind="operator.invite", reason=reason, about=None, wish=wish
            )
            approval = public(Prefix.APPROVAL, asked.id)
        view = InvitationView(
            id=public(Prefix.INVITATION, made.id),
            role=data.role,
            token=token,
            link=invite.link(parts.settings.operators, token),
            expires_at=made.expires_at,
            approval=approval,
        )
        return Response(view, status_code=201)

    @post(
        "/accept",
        summary="Accept an invitation",
        status_code=200,
        guards=(requires_nothing,),
        responses=documented(Forbidden, InvitationUnknown, MalformedRequest, RateLimited, EmailTaken, PasswordWeak),
    )
    async def accept_invitation(self, parts: NamedDependency[Parts], data: JSONBody[Acceptance]) -> EnrolmentView:
        """Choose a password; the answer goes into an authenticator. Nothing is made before a code confirms it."""
        made = await invite.accept(
            parts.database,
            parts.keyring,
            parts.settings.operators,
            token=data.token,
            password=data.password,
            name=data.name,
            email=data.email,
        )
        return EnrolmentView(
            name=made.name, email=made.email, role=made.role, otpauth_uri=made.otpauth_uri, secret=made.secret
        )

    @post(
        "/link",
        summary="Accept an invitation with an ID token",
        status_code=200,
        guards=(requires_nothing,),
        responses=documented(
            *(CredentialInvalid, Forbidden, InvitationUnknown, MalformedRequest, RateLimited, EmailTaken, Unacceptable)
        ),
    )
    async def link_invitation(
        self, request: Request[Any, Any, Any], parts: NamedDependency[Parts], data: JSONBody[Linking]
    ) -> OperatorView:
        """Become an operator as whom the ID token in `Authorization` names, in place of a password."""
        identity = await parts.door.identity(bearer(request))
        made = await invite.link_identity(
            parts.database,
            parts.keyring,
            token=data.token,
            subject=identity.subject,
            name=data.name,
            email=data.email,
        )
        return operator_view(made)

    @post(
        "/confirm",
        summary="Confirm an invitation",
        guards=(requires_nothing,),
        responses=documented(SignInRefused, Forbidden, InvitationUnknown, MalformedRequest, RateLimited, EmailTaken),
    )
    async def confirm_invitation(self, parts: NamedDependency[Parts], data: JSONBody[Confirmation]) -> FirstSessionView:
        """Become an operator with the first code of the authenticator. The recovery codes are shown this once."""
        made = await invite.confirm(
            parts.database, parts.keyring, parts.settings.operators, token=data.token, code=data.code
        )
        begun = _session_view(parts, made.token, made.session, made.operator)
        return FirstSessionView(
            token=begun.token,
            expires_at=begun.expires_at,
            idle_minutes=begun.idle_minutes,
            operator=begun.operator,
            recovery_codes=made.recovery_codes,
        )


def operator_view(operator: Operator) -> OperatorView:
    """The operator as the outside sees them."""
    named = None if operator.id is None else public(Prefix.OPERATOR, operator.id)
    return OperatorView(id=named, name=operator.name, role=operator.role, via=operator.via)


def _session_view(parts: Parts, token: str, opened: OperatorSession, operator: Operator) -> SessionView:
    return SessionView(
        token=token,
        expires_at=opened.expires_at,
        idle_minutes=parts.settings.operators.idle_minutes,
        operator=operator_view(operator),
    )
