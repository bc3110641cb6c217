package config

import "reflect"

// NeedRestart names, by their variables, the settings of next that differ and
// that a running service does not take up.
func (r Run) NeedRestart(next Run) []string {
	return needRestart(reflect.ValueOf(r), reflect.ValueOf(next))
}

func needRestart(old, next reflect.Value) (names []string) {
	for i := range old.NumField() {
		f := old.Type().Field(i)
		env := f.Tag.Get(envTag)
		_, live := f.Tag.Lookup("live")
		switch {
		case env == "" && f.Type.Kind() == reflect.Struct:
			names = append(names, needRestart(old.Field(i), next.Field(i))...)
		case env != "" && !live && !reflect.DeepEqual(old.Field(i).Interface(), next.Field(i).Interface()):
			names = append(names, env)
		}
	}
	return names
}
