"""What happens when a phone texts one of the senders: block lists, confirmations, the webhook."""

from dataclasses import dataclass
from functools import partial

from gateway.carrier.sandbox.config import Answers, SandboxConfig, Sender
from gateway.carrier.sandbox.store import Message, Store, new_message
from gateway.carrier.sandbox.webhooks import Postman, inbound_params

# https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out (default keywords and messages)
TWILIO_KEYWORDS = {
    "STOP": {"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"},
    "START": {"START", "YES", "UNSTOP"},
    "HELP": {"HELP", "INFO"},
}
# A toll-free number's network acts on these alone, before Twilio sees the text.
CARRIER_KEYWORDS = {"STOP": {"STOP"}, "START": {"START", "UNSTOP"}}

KEYWORDS = {Answers.GATEWAY: {}, Answers.TWILIO: TWILIO_KEYWORDS, Answers.CARRIER: CARRIER_KEYWORDS}

TWILIO_TEXTS = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this "
    "number. Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help. "
    "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}
CARRIER_TEXTS = {
    "STOP": 'NETWORK MSG: You replied with the word "stop" which blocks all texts sent from this number. '
    'Text back "unstop" to receive messages again.',
    "START": 'NETWORK MSG: You have replied "unstop" and will begin receiving messages again from this number.',
}
TEXTS = {Answers.GATEWAY: {}, Answers.TWILIO: TWILIO_TEXTS, Answers.CARRIER: CARRIER_TEXTS}


@dataclass(frozen=True, slots=True)
class Phones:
    """The recipients' side of the sandbox."""

    config: SandboxConfig
    store: Store
    postman: Postman

    def send(self, phone: str, to: str, body: str) -> Message:
        """A phone texts a sender. The webhook is posted later, in its lane."""
        sender = self.store.sender(to)
        message = new_message(to=to, sender=phone, body=body, direction="inbound", status="received")
        message.service_sid = sender.service_sid
        self.store.add(message)
        word = keyword_of(body, sender.answers)
        self._react(phone, sender, word)
        if sender.webhook:
            opt_out_type = word if sender.answers is Answers.TWILIO else None
            params = inbound_params(self.config.account_sid, message, opt_out_type)
            self.postman.inbound.put(partial(self._deliver, sender.webhook, params, message))
        return message

    async def _deliver(self, webhook: str, params: dict[str, str], message: Message) -> None:
        if not await self.postman.deliver(webhook, params):
            message.error_code = 11200  # https://www.twilio.com/docs/api/errors/11200, HTTP retrieval failure
        self.store.touch()

    def _react(self, phone: str, sender: Sender, word: str | None) -> None:
        """Block or unblock; a confirmation only where that changed something, and for HELP."""
        blocked = self.store.is_blocked(phone, sender)
        if word == "STOP" and not blocked:
            self.store.block(phone, sender)
        elif word == "START" and blocked:
            self.store.unblock(phone, sender)
        elif word != "HELP":
            return
        text = TEXTS[sender.answers][word]
        self.store.add(
            new_message(to=phone, sender=sender.number, body=text, direction="outbound-reply", status="delivered")
        )


def keyword_of(body: str, answers: Answers) -> str | None:
    """STOP, START or HELP where the whole text is one of the words this answerer knows."""
    word = body.strip().upper()
    return next((name for name, words in KEYWORDS[answers].items() if word in words), None)
