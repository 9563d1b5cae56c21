"""From numbers to pages: tables, LaTeX, contact sheets, citations, and the leaderboard page (`board`)."""
