"""Gateway: the only package that sends requests to Twilio's REST API, through Maton or direct."""
