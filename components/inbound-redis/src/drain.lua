-- One step: says what has become of one event, and asks for the next one.
--
-- KEYS  the stream; the lease; the stream of dead letters
-- ARGV  who asks; for how many milliseconds; the event that has been handed over, or ''; what has become of it: 'taken',
--       'refused', 'failed' or 'later'; why; the last one that is to wait, or '0'; 'next', or 'stop'
-- Answers the id of the next event and the event; nothing if there is none, or somebody else asks for them.
--
-- Whoever asks has the lease: one at a time, so that events keep their order. Nothing is lost with it: what has been given
-- out stays pending in the group until it is done, and is given out first.
local stream, lease, dead = KEYS[1], KEYS[2], KEYS[3]
local me, time, id, became, reason, after, go = unpack(ARGV)
local group = 'bodega'

local function event(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'event' then return fields[i + 1] end
  end
  return ''
end

-- The shop fails over one that it cannot deal with each time, and over any while it is ill.
local function is_hopeless()
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return pending and pending[4] >= 60
end

if id ~= '' and became == 'failed' then became = is_hopeless() and 'refused' or 'later' end
if id ~= '' and became == 'refused' then
  local entry = redis.call('XRANGE', stream, id, id)[1]
  -- If it is gone, somebody else has seen to it.
  if entry then
    local letter = { 'event', event(entry[2]), 'reason', reason, 'entry', id }
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'origin' then letter[#letter + 1], letter[#letter + 2] = 'origin', entry[2][i + 1] end
    end
    redis.call('XADD', dead, '*', unpack(letter))
  end
end
if id ~= '' and became ~= 'later' then
  redis.call('XACK', stream, group, id)
  redis.call('XDEL', stream, id)
end

local holder = redis.call('GET', lease)
if holder and holder ~= me then return {} end
if go == 'stop' then
  redis.call('DEL', lease)
  return {}
end
redis.call('SET', lease, me, 'PX', time)

-- An error says that there is one already.
redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
local function read(from)
  local streams = redis.call('XREADGROUP', 'GROUP', group, 'shop', 'COUNT', 1, 'STREAMS', stream, from)
  return streams and streams[1] and streams[1][2][1]
end
while true do
  local entry = read(after) or read('>')
  if not entry then
    redis.call('DEL', lease)
    return {}
  end
  if entry[2] then return { entry[1], event(entry[2]) } end
  -- Somebody has deleted it.
  redis.call('XACK', stream, group, entry[1])
end
