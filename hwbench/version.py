"""The version, typed once; reading it imports nothing."""

VERSION = "0.1.0"
