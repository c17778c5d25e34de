-- mismatch(calls, answered, late) → word, call. Why answers are not those to the calls: one is `missing`, `not_open`, or decides nothing
-- (`undecided`); nothing when they are. `calls` may be false. `late`: nobody waits for them any more, and what a person was
-- asked to decide can be decided no longer. Bounded by the calls that one turn may have.
local function mismatch(calls, answered, late)
  local given, open = {}, {}
  local answers = cjson.decode(answered)
  for _, answer in ipairs(answers) do given[answer[1]] = answer end
  for _, call in ipairs(calls and cjson.decode(calls) or {}) do
    if late and call[2] == 1 then return 'not_open', call[1] end
    if not given[call[1]] then return 'missing', call[1] end
    if call[2] == 1 and given[call[1]][2] == 0 then return 'undecided', call[1] end
    open[call[1]] = true
  end
  for _, answer in ipairs(answers) do
    if not open[answer[1]] then return 'not_open', answer[1] end
  end
end
