"""The served side: compose and pages (pure), publish."""
