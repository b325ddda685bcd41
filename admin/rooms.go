package admin

import (
	"net/http"

	"passerelle/admin/tokens"
)

// roomRoutes are the rooms in which calls of this node are.
func (a *api) roomRoutes() []route {
	return []route{
		{path: "/api/v1/rooms", role: tokens.Viewer, handle: a.listRooms},
		{path: "/api/v1/rooms/{room}", role: tokens.Viewer, handle: a.showRoom},
	}
}

// roomList is all rooms, by name: a node has no more of them than calls.
type roomList struct {
	Rooms []roomView `json:"rooms"`
}

func (a *api) listRooms(_ http.ResponseWriter, r *http.Request, _ *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	list := roomList{Rooms: []roomView{}}
	for _, room := range a.Node.Rooms() {
		list.Rooms = append(list.Rooms, viewRoom(room))
	}
	return list, nil
}

// roomDetail is a room with its calls.
type roomDetail struct {
	roomView
	Members []callView `json:"members"`
}

func (a *api) showRoom(_ http.ResponseWriter, r *http.Request, by *caller) (any, error) {
	if err := newQuery(r.URL.RawQuery).err(); err != nil {
		return nil, err
	}
	for _, room := range a.Node.Rooms() {
		if room.Name != r.PathValue("room") {
			continue
		}
		d := roomDetail{viewRoom(room), []callView{}}
		for _, c := range a.Node.Calls() {
			if c.Room == room.Name {
				d.Members = append(d.Members, viewCall(c, by.full()))
			}
		}
		return d, nil
	}
	return nil, refuse(http.StatusNotFound, "no-room", "No call of this node is in a room of this name. List the rooms with GET /api/v1/rooms.")
}
