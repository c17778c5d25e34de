-- carry_out_ends(id, session, now, ended, again). Carry out what a turn's end brings with it, as `carry_out_end` has it, after the ends of the
-- turns that were merged with it (`members`), which it owes, too.
local function carry_out_ends(id, session, now, ended, again)
  if ended.members then
    for member in each_name(ended.members) do
      local theirs = end_member(member, id, now)
      if theirs then carry_out_end(member, session, now, theirs, true) end
    end
  end
  carry_out_end(id, session, now, ended, again)
end
