"""The only door to Twilio's REST API, through Maton or direct."""
