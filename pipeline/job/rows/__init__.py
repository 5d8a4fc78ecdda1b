"""Lists of prompts: CSV, TSV, JSONL and TXT as people have them."""
