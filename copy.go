package magpie

// Copy is a part of one text that was copied from another: Len bytes that stand at From there and at To here. Git keeps
// versions of a file as such copies with new bytes between them.
type Copy struct{ From, To, Len int }
