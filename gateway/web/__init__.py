"""The doors: webhooks for Twilio, the page behind the link, the API, the console. Handlers touch no session."""
