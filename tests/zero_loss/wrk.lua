-- A new connection for each request, and a pause before each one: several pods share the machine.
wrk.headers["Connection"] = "close"

function delay()
    return 10
end
