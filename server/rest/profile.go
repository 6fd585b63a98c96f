package rest

import (
	"net/http"
	"strconv"
	"time"

	"isthmus/fault"
	"isthmus/server/profile"
)

// profilePath is where net/http/pprof has its profiles.
const profilePath = "/debug/pprof/"

// profiles serves those of the server process to whoever shows an admin's API token, or a session and what goes with it.
func profiles(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, caller, err := o.admit(r)
		if err != nil {
			refuse(o, w, r, err)
			return
		}
		call, err := o.Limiter.Arrive(caller, false)
		if err != nil {
			refuse(o, w, r, err)
			return
		}
		defer call.End()
		name := r.PathValue("name")
		watch, err := profileTime(r.URL.Query().Get("seconds"))
		if err != nil {
			writeError(w, err)
			return
		}
		data, err := o.Profiler.Take(r.Context(), caller, name, watch)
		if err != nil {
			o.Refused(r.Context(), err)
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="isthmus-`+name+`.pprof"`)
		_, _ = w.Write(data)
	})
}

func profileTime(seconds string) (time.Duration, error) {
	if seconds == "" {
		return profile.DefaultTime, nil
	}
	n, err := strconv.Atoi(seconds)
	most := int(profile.LongestTime.Seconds())
	if err != nil || n < 1 || n > most {
		return 0, fault.Violated(fault.Violation{Field: "seconds", Reason: "Invalid", Message: "is not a number of seconds from 1 to " + strconv.Itoa(most)})
	}
	return time.Duration(n) * time.Second, nil
}
