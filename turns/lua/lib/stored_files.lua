-- stored_files(files) → names, bytes. The files of a tenant that are still kept, and what they take together; others are forgotten, with
-- what a call that was cut short may have left of them for good.
local function stored_files(files)
  local entries, names, bytes, oldest = redis.call('HGETALL', files), {}, 0, clock() - rule.file_ttl
  for i = 1, #entries, 2 do
    local created, size = entries[i + 1]:match('^(%d+) (%d+)$')
    if tonumber(created) < oldest then
      redis.call('UNLINK', key.file .. entries[i], key.pieces .. entries[i])
      redis.call('HDEL', files, entries[i])
    else
      names[#names + 1] = entries[i]
      bytes = bytes + size
    end
  end
  return names, bytes
end
