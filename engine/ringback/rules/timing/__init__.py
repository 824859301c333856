"""Time in rules: calendars, durations and cron schedules."""
