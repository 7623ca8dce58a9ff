"""All settings. Values come from the environment (`env.py`); names contain units."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from common.limits import Limits, configure, settings_of_limits
from orchestrator import VERSION, env, logs
from orchestrator.embedded_postgres import instance

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / ".data"))).resolve()
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000)

# LOCAL: one user on one machine, over plain HTTP. Otherwise production, without defaults for secrets.
DATABASE_URL = env.text("DATABASE_URL", "")
LOCAL = env.flag("LOCAL", default=not DATABASE_URL)
DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.local_secret("SECRET_KEY", DATA_DIR / "secret_key") if LOCAL else env.text("SECRET_KEY")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "orchestrator.admin_config.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "django_eventstream",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "procrastinate.contrib.django",
    "access",
    "workflows",
    "documents",
    "telemetry",
    "executions",
    "console",
    "orchestrator",
]
MIDDLEWARE = [  # the ASGI handler loads that of Django by its classes for the event loop, in library_middleware
    "orchestrator.web.middleware.RequestIdMiddleware",
    "orchestrator.web.middleware.HeadersMiddleware",
    "orchestrator.web.middleware.DatabaseMiddleware",
    "orchestrator.web.middleware.NulPathMiddleware",
    "orchestrator.web.middleware.BodyEncodingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "orchestrator.web.library_middleware.StaticFilesMiddleware",
    "orchestrator.web.caller_queue.CallerQueueMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database -------------------------------------------------------------------------------------------------------
# If set, it is the URL of the server itself, and DATABASE_URL leads to a transaction pooler: see docs/databases.md.
DATABASE_DIRECT_URL = env.text("DATABASE_DIRECT_URL", "")
_DATABASE = instance.django_database(DATABASE_URL or instance.url(DATA_DIR))
_POOL = {
    "min_size": 1,
    "max_size": env.integer("DATABASE_POOL_SIZE", 16, minimum=1),
    "timeout": env.number("DATABASE_POOL_TIMEOUT_SECONDS", 3.0, minimum=0.1),  # then the request gets 503
    "max_idle": 60.0,  # seconds until idle connections are closed, except for one
    "max_waiting": 200,  # requests; more get 503 immediately
    # The pool doubles its wait after each failed connect, up to this; then it retries with the next caller.
    "reconnect_timeout": 3.0,
}
# JIT compilation takes longer than the execution of our short statements.
# The idle timeout releases the locks of a process that is suspended within a transaction.
_IDLE_MS = env.integer("DATABASE_IDLE_TRANSACTION_SECONDS", 10, minimum=1) * 1000
_SESSION = f"-c jit=off -c idle_in_transaction_session_timeout={_IDLE_MS}"
_OPTIONS = f"{_SESSION} {_DATABASE['OPTIONS'].get('options', '')}".strip()  # options of the URL come last, and override
# Over TCP these detect a vanished database host within half a minute, instead of hours.
# A connect may take ten seconds; by default psycopg waits 130 seconds for a host that accepts and never responds.
_ALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Max wait for a response. Then the connection is closed, and the caller gets an outage error. Migrations have no limit.
DATABASE_WAIT_SECONDS = env.number("DATABASE_WAIT_SECONDS", 30.0, minimum=1.0)
# Repeated statements are prepared. Behind a transaction pooler there is no session, so nothing is prepared or set.
_OWN_SESSION = {"prepare_threshold": None} if DATABASE_DIRECT_URL else {"prepare_threshold": 2, "options": _OPTIONS}
DATABASES = {
    "default": {
        **_DATABASE,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": bool(DATABASE_DIRECT_URL),
        "OPTIONS": {**_ALIVE, **_DATABASE["OPTIONS"], **_OWN_SESSION, "pool": _POOL},
    }
}
# Connections that need a session of their own: LISTEN, and the journal with its prepared statements.
DIRECT_DATABASE: dict[str, object] = {}
if DATABASE_DIRECT_URL:
    _DIRECT = instance.parameters(DATABASE_DIRECT_URL, variable="DATABASE_DIRECT_URL")
    _DIRECT["options"] = f"{_SESSION} -c statement_timeout=0 {_DIRECT.get('options', '')}".strip()
    DIRECT_DATABASE = {**_ALIVE, **_DIRECT}
SEARCH_LANGUAGE = env.text("SEARCH_LANGUAGE", "simple")  # a text search configuration of PostgreSQL: see docs/search.md
DATABASE_THREADS = env.integer("DATABASE_THREADS", 2, minimum=1)  # of a process, for background work
# These threads and the journal's have a pool of their own, one connection each, which requests cannot exhaust.
BACKGROUND_POOL = {"max_size": DATABASE_THREADS + 1, "timeout": 10.0, "max_waiting": 0}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- users ----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "access.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["access.passwords.backend.PasswordBackend"]
PASSWORD_HASHERS = ["access.passwords.hashers.BoundedPBKDF2PasswordHasher"]
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")  # proxies whose X-Forwarded-For is trusted
# Whether a person without an account can make one on the page of an invitation.
INVITATIONS_CREATE_ACCOUNTS = env.flag("INVITATIONS_CREATE_ACCOUNTS", default=True)
LOGIN_URL = "console:login"
LOGIN_REDIRECT_URL = "console:home"
LOGOUT_REDIRECT_URL = "console:login"
SESSION_ENGINE = "access.credentials.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=env.integer("TOKEN_TTL_DAYS", 365, minimum=1)),
    "AUTH_HEADER_PREFIX": "Bearer",
    "AUTO_REFRESH": False,
}

# --- single sign-on: docs/single-sign-on.md ---------------------------------------------------------------------------
OIDC_ISSUER = env.text("OIDC_ISSUER", "")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on")  # of the provider, on the page of the login
OIDC_SCOPES = env.words("OIDC_SCOPES", "profile,email")  # to ask for, besides openid
OIDC_GROUPS = env.words("OIDC_GROUPS")  # group=role@type/key, group=staff, or group=author
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", "groups")
OIDC_ENABLED = bool(OIDC_ISSUER and OIDC_CLIENT_ID and OIDC_CLIENT_SECRET)
if OIDC_ENABLED:  # otherwise no process imports the library
    INSTALLED_APPS[:0] = ["allauth.account", "allauth.socialaccount"]
    MIDDLEWARE.append("allauth.account.middleware.AccountMiddleware")  # which the library demands
    SOCIALACCOUNT_ADAPTER = "access.oidc.library.SocialAdapter"

# --- security -------------------------------------------------------------------------------------------------------
CSRF_FAILURE_VIEW = "console.views.stale_form"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not LOCAL
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=not LOCAL)
SECURE_REDIRECT_EXEMPT = [
    r"^healthz/?$",  # called from the same machine, without the proxy
    r"^readyz/?$",
    r"^invitations/token/$",  # the page leads to HTTPS itself, because it alone knows the token
]
SECURE_HSTS_SECONDS = 0 if LOCAL else env.integer("SECURE_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("BEHIND_PROXY", default=False) else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- limits: docs/limits.md has them all ------------------------------------------------------------------------------
LIMITS = Limits(
    **{name: env.integer(key, default, minimum=minimum) for name, key, default, minimum in settings_of_limits()}
)
configure(LIMITS)
DATA_UPLOAD_MAX_MEMORY_SIZE = LIMITS.request_bytes
DATA_UPLOAD_MAX_NUMBER_FIELDS = LIMITS.query_fields

# --- API ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "access.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated", "access.authentication.HasRight"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.api.negotiation.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orchestrator.problems.problem_handler",
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.KeysetPagination",
    "DEFAULT_VERSIONING_CLASS": None,
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS gets 405; the OpenAPI document says what there is
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Scriptorium",
    "DESCRIPTION": "Runs LLM document workflows that people can trust.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ExecutionStatus": "executions.engine.domain.states.ExecutionStatus",
        "StepStatus": "executions.engine.domain.states.StepStatus",
        "CallStatus": "executions.engine.domain.states.CallStatus",
        "InboxKind": "executions.engine.domain.states.InboxKind",
        "BlockedByLimitEnum": "executions.engine.domain.states.Limit",
        "CallKind": "executions.engine.domain.states.CallKind",
        "DocumentStatus": "documents.models.DocumentStatus",
        "ChangeKind": "documents.comparison.diff.ChangeKind",
        "Right": "access.permissions.Right",
        "StaleReasonKind": "documents.staleness.ReasonKind",
        "Action": "access.permissions.ACTION_CHOICES",
        "Role": "access.permissions.Role",
        "InvitationStatus": "access.people.invitations.InvitationStatus",
    },
    "PREPROCESSING_HOOKS": ["orchestrator.openapi.document.strip_optional_slashes"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orchestrator.openapi.document.add_stream",
        "orchestrator.openapi.operations.describe_operations",
        "orchestrator.openapi.fields.describe_fields",
    ],
}

# --- stream ---------------------------------------------------------------------------------------------------------
EVENTSTREAM_STORAGE_CLASS = "executions.progress.eventstream.ExecutionEventStorage"
EVENTSTREAM_CHANNELMANAGER_CLASS = "executions.progress.eventstream.ExecutionChannelManager"
STREAM_KEEPALIVE_SECONDS = env.number("STREAM_KEEPALIVE_SECONDS", 15.0, minimum=0.1)
STREAM_QUEUE_SIZE = env.integer("STREAM_QUEUE_SIZE", 100, minimum=1)  # queued events per client
STREAM_RETRY_MS = env.integer("STREAM_RETRY_MS", 2000)  # delay before a browser reconnects
STREAM_RECHECK_SECONDS = env.number(
    "STREAM_RECHECK_SECONDS", 20.0, minimum=0.1
)  # interval of permission checks on open streams
STREAM_MAX_AGE_SECONDS = env.number("STREAM_MAX_AGE_SECONDS", 3600.0, minimum=0.1)  # then a client has to reconnect
if env.text("EVENTSTREAM_REDIS_URL", ""):  # only for `send_event` of django-eventstream; our streams do not use it
    EVENTSTREAM_REDIS = env.redis("EVENTSTREAM_REDIS_URL")
GRIP_URL = env.text("GRIP_URL", "")  # Pushpin's control endpoint, for `manage.py relay`; see docs/scale-out.md
GRIP_RECHECK_SECONDS = env.number(
    "GRIP_RECHECK_SECONDS", 20.0, minimum=1.0
)  # like STREAM_RECHECK_SECONDS, for streams behind Pushpin
EVENT_RETENTION_DAYS = env.integer("EVENT_RETENTION_DAYS", 0)  # event logs of ended executions; 0: forever

# --- worker ---------------------------------------------------------------------------------------------------------
WORKER_CONCURRENCY = env.integer("WORKER_CONCURRENCY", 20, minimum=1)  # concurrent executions per worker
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS", 2.0, minimum=0.1)
WORKER_SILENT_SECONDS = env.number(
    "WORKER_SILENT_SECONDS", 30.0, minimum=0.5
)  # then another worker takes over its executions
MAX_RECOVERIES = env.integer(
    "MAX_RECOVERIES", 5, minimum=1
)  # consecutive recoveries of an execution without progress of a step
RECOVERY_INTERVAL_SECONDS = env.number("RECOVERY_INTERVAL_SECONDS", 10.0, minimum=0.1)
SHUTDOWN_GRACE_SECONDS = env.number("SHUTDOWN_GRACE_SECONDS", 20.0)
PROCRASTINATE_WORKER_DEFAULTS = {
    "concurrency": WORKER_CONCURRENCY,
    "delete_jobs": "always",
    "fetch_job_polling_interval": 0.4,
    "abort_job_polling_interval": 3600.0,  # jobs are never aborted; executions are cancelled instead
    "shutdown_graceful_timeout": 0,  # the worker itself waits for its executions
    "update_heartbeat_interval": HEARTBEAT_SECONDS,
    "stalled_worker_timeout": WORKER_SILENT_SECONDS,
    "install_signal_handlers": False,
}

# --- models ---------------------------------------------------------------------------------------------------------
REHEARSAL_LATENCY_SECONDS = env.number("REHEARSAL_LATENCY_SECONDS", 0.0)  # delay of each rehearsal reply
env.export_provider_keys()
MODEL_ALIASES = env.model_aliases()
WORKFLOW_ADVICE = (
    "executions.llm.rehearsal.writable.unwritable"  # yields warnings for the author of a published workflow
)
MODEL_FILES = env.words("MODEL_FILES")  # which models read pictures and PDFs as they are: provider:model=kind
MODEL_CALLS = env.integer("MODEL_CALLS", 100, minimum=1)  # concurrent calls per worker
MODEL_STREAMING = env.flag("MODEL_STREAMING", default=True)  # replies are streamed, and live text is available
MODEL_OUTPUT = env.choice(
    "MODEL_OUTPUT", "", among={"", "shared-tools", "tools", "native", "prompted"}
)  # docs/models.md
MODEL_CONNECT_SECONDS = env.number("MODEL_CONNECT_SECONDS", 10.0, minimum=0.1)
MODEL_FIRST_TOKEN_SECONDS = env.number(
    "MODEL_FIRST_TOKEN_SECONDS", 120.0, minimum=0.1
)  # max wait for the first token of a streamed reply
REQUIRE_PRICED = env.flag("REQUIRE_PRICED", default=False)  # reject starts that use a model without a known price
MODEL_PATIENCE_SECONDS = env.number("MODEL_PATIENCE_SECONDS", 300.0)  # time for retries while a provider is unavailable
DEFER_AFTER_SECONDS = env.number(
    "DEFER_AFTER_SECONDS", 5.0
)  # a step that must wait longer for a provider is deferred, and releases its worker

# --- pages, logs, language ------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"  # for `collectstatic`; otherwise files are served from the apps
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_MIMETYPES = {".webmanifest": "application/manifest+json"}
LANGUAGE_CODE = "en"  # of the API, and of pages for people with another language than these
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "console" / "locale"]  # before those of libraries, which have some of the texts, too
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["orchestrator.formats"]
_SHADES = {  # of the console's colour
    **{"50": "96.2% .018 272", "100": "93% .034 273", "200": "87% .065 274", "300": "78.5% .115 275"},
    **{"400": "67.3% .182 277", "500": "58.5% .233 277", "600": "51.1% .22 277", "700": "45.7% .2 277"},
    **{"800": "39.8% .17 277", "900": "35.9% .144 279", "950": "25.7% .09 281"},
}
UNFOLD = {
    "SITE_TITLE": "Scriptorium",
    "SITE_HEADER": "Scriptorium",
    "SITE_SYMBOL": "history_edu",
    "SITE_URL": "/",
    "COLORS": {"primary": {shade: f"oklch({value})" for shade, value in _SHADES.items()}},
}
LOG_FORMAT = env.choice("LOG_FORMAT", "console" if LOCAL else "json", among=logs.FORMATS)
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", among={"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
LOOP_STALL_MS = env.integer("LOOP_STALL_MS", 250)  # log event loop stalls longer than this; 0: never
LOGGING = logs.logging_config(form=LOG_FORMAT, level=LOG_LEVEL)
