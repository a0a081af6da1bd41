"""The gateway between marketers and Twilio; start reading at `app.py` and `inbound.py`."""

__version__ = "0.1.0"
