-- bring_out(queues, free, now). A dispatch has left its queue, whatever it was good for: there is room for those who wait.
local function bring_out(queues, free, now)
  for queue in queues:gmatch('%S+') do send_ready(queue, tonumber(free), now) end
end
