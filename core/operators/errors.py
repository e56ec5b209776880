"""What operators alone are answered with, beside the tree of `core.errors`, whose catalogue lists these as well."""

from core.errors import (
    Conflict,
    CredentialExpired,
    Forbidden,
    NotFound,
    Unacceptable,
    Unauthenticated,
)


class SessionExpired(CredentialExpired):
    code = "session_expired"
    title = "This session has ended."
    remedy = "Sign in again."


class SignInRefused(Unauthenticated):
    code = "sign_in_refused"
    title = "The e-mail address, the password or the code is not right."
    remedy = "Try again with the code that the authenticator shows now. A code is good once."


class InvitationUnknown(NotFound):
    code = "invitation_unknown"
    title = "This invitation is unknown, used, replaced or expired."
    remedy = "Ask an admin for a new one."


class EmailTaken(Conflict):
    code = "email_taken"
    title = "An operator has this e-mail address."
    remedy = "Use another address, or change the role of the operator who has it."


class PasswordWeak(Unacceptable):
    code = "password_weak"
    title = "This password is too easy to guess."
    remedy = "Use at least 12 characters, six of them different, and not your name or address."


class OperatorUnknown(Forbidden):
    code = "operator_unknown"
    title = "You are signed in, and you are not an operator of this service."
    remedy = "Ask an admin for an invitation, and follow its link while you are signed in."


class SecondPersonNeeded(Forbidden):
    code = "second_person_needed"
    title = "This needs another person."
    remedy = "Ask a colleague whose role may approve."
