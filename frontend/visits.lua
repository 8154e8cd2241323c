-- Counts a batch of visits exactly once and never backwards. These comments are not sent.
--
-- KEYS  1 the counter: the highest number handed out
--       2 the producer's record: the sequence and the result of its last batch, "SEQ LAST"
-- ARGV  1 the batch's sequence   2 its n; 0 greets: announces the floor, counts nothing
--       3 the floor: the highest number that the producer's process has seen
--
-- Answers {last, how}. The batch's numbers are last-n+1 ... last. how: 0 counted now, 1 counted
-- before and remembered, 2 the floor was above the counter. STALE: a later batch of this producer
-- was here already. Any error: nothing was written, since Redis takes no write back: all reads and
-- checks MUST come before the first write.
local EXACT = 2 ^ 53 - 1 -- numbers here are doubles: above this they are not exact
local DAY = 86400

-- nil unless the text is a whole number written plainly
local function whole(text)
    local plain = text and (text == '0' or string.find(text, '^[1-9]%d*$'))
    local number = plain and tonumber(text)
    return number and number <= EXACT and number or nil
end

local seq, n, floor = whole(ARGV[1]), whole(ARGV[2]), whole(ARGV[3])
if not (seq and n and floor) then return {err = 'TALLY an argument is not a whole number'} end

local total = whole(redis.call('GET', KEYS[1]) or '0')
if not total then return {err = 'TALLY the counter is not a whole number'} end

local record = redis.call('GET', KEYS[2])
if record and n > 0 then
    local old_seq, old_last = string.match(record, '^(%d+) (%d+)$')
    old_seq, old_last = whole(old_seq), whole(old_last)
    if not (old_seq and old_last) then return {err = 'TALLY the record is damaged'} end
    if seq == old_seq then return {old_last, 1} end
    if seq < old_seq then return {err = 'STALE a later batch was counted already'} end
end

local how = floor > total and 2 or 0
local base = math.max(total, floor)
if n > EXACT - base then return {err = 'TALLY the counter is at its end'} end
local last = base + n
local last_text = string.format('%.0f', last)

if last > total then redis.call('SET', KEYS[1], last_text) end
if n > 0 then
    redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. last_text, 'EX', DAY)
else
    redis.call('EXPIRE', KEYS[2], DAY) -- a write: a server that takes none says so to the greeting
end
return {last, how}
