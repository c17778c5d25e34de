# >>> sh
export OPENAI_API_BASE=BASE_URL OPENAI_API_KEY=API_KEY
aider --model openai/gpt-4o-mini
# <<<
