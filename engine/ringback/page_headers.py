"""Headers of every answer of the console, and of what the receiver says in its place."""

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; require-trusted-types-for 'script'; trusted-types ringback"
)
"""Nothing from another place, nothing inline, and HTML only through one policy of ours.
https://www.w3.org/TR/CSP3/ https://www.w3.org/TR/trusted-types/"""

_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen",
    "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "usb",
    "xr-spatial-tracking",
)  # fmt: skip

HEADERS = (
    ("content-security-policy", CONTENT_SECURITY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", ", ".join(f"{name}=()" for name in _FEATURES)),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex, nofollow"),
)
"""Those that do not depend on the answer; `cache-control` and HSTS do."""
NO_STORE = ("cache-control", "no-store")
