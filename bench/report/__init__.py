"""From numbers to pages: tables, LaTeX, contact sheets, citations, the board."""
