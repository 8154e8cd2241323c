-- The visit counter inside NGINX: one INCR a page, over a pool of kept-alive cosockets.
local KEY = "visits:lua"
local POOL = 1024

local file = assert(io.open(assert(os.getenv("PAGE"))))
local before, after = file:read("*a"):match("^(.*){{number}}(.*)$")
file:close()

local redis_port = tonumber(os.getenv("REDIS_PORT"))
local counter = {}

-- The line with which Redis answers; a bulk string's second line.
local function call(command)
    local socket = ngx.socket.tcp()
    assert(socket:connect("127.0.0.1", redis_port, { pool_size = POOL }))
    assert(socket:send(command))
    local line = assert(socket:receive())
    if line:sub(1, 1) == "$" then
        line = line == "$-1" and ":0" or ":" .. assert(socket:receive())
    end
    assert(line:sub(1, 1) == ":", line)
    socket:setkeepalive(60000)
    return line:sub(2)
end

function counter.visit()
    local number = call("*2\r\n$4\r\nINCR\r\n$" .. #KEY .. "\r\n" .. KEY .. "\r\n")
    ngx.header.content_type = "text/html; charset=utf-8"
    ngx.header.cache_control = "no-store"
    ngx.header.content_length = #before + #number + #after
    ngx.print(before, number, after)
end

function counter.total()
    ngx.header.content_type = "application/json"
    ngx.print('{"total":', call("*2\r\n$3\r\nGET\r\n$" .. #KEY .. "\r\n" .. KEY .. "\r\n"), "}\n")
end

return counter
